"""Where a search's result comes from: the words at the head of its report."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from importlib.metadata import version
from typing import Any

from bitlathe.flow.search.config import SearchConfig
from bitlathe.flow.search.report import About
from bitlathe.flow.search.request import SearchRequest
from bitlathe.flow.search.results import SearchResult
from bitlathe.flow.search.setup import Setup
from bitlathe.model.graph.files.toml_sections import TomlDocument


def about(request: SearchRequest, setup: Setup, result: SearchResult) -> About:
    """The facts of a finished search, and its configuration."""
    config, subject = setup.config, setup.subject
    parameters = ", ".join(f"{key} = {value}" for key, value in config.rule_parameters.items())
    facts = (
        ("network", subject.network),
        ("data set", f"{result.dataset}, {len(subject.dataset.test_labels):,} test images"),
        ("normalization", str(subject.weights.normalization)),
        ("weights before", subject.weights.describe()),
        ("trained and judged by", f"{subject.task.loss.name}, {result.metric.name}"),
        ("target", result.target),
        ("rule", f"{config.rule_name} ({parameters})" if parameters else config.rule_name),
        ("budget", (result.verdict or "none").removeprefix("budget of ")),
        ("command", request.command),
        ("date", datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")),
        ("version", f"bitlathe {version('bitlathe')}"),
    )
    return About(facts=facts, configuration=_configuration(config))


def _configuration(config: SearchConfig) -> str:
    """The file's text, or all settings as a file would say them."""
    if isinstance(config.written, TomlDocument):
        return config.written.text
    return "\n".join(_tables((), config.settings))


def _tables(keys: tuple[str, ...], values: Mapping[str, Any]) -> Iterator[str]:
    """Lines of TOML: a table's own keys, then the tables within it; what is None is left out."""
    own = {key: value for key, value in values.items() if not _is_table(value) and value is not None}
    if own and keys:
        yield f"[{'.'.join(keys)}]"
    for key, value in own.items():
        yield f"{key} = {json.dumps(value)}"
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _tables((*keys, key), value)
        elif _is_table(value):
            for each in value:
                yield f"[[{'.'.join((*keys, key))}]]"
                yield from _tables((), each)


def _is_table(value: Any) -> bool:
    several = isinstance(value, list) and any(isinstance(each, Mapping) for each in value)
    return isinstance(value, Mapping) or several
