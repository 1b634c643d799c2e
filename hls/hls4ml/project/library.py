"""The installed hls4ml, and what it prints: kept from the caller's stdout, shown in errors."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from io import StringIO
from types import ModuleType

from bitlathe.model.graph.errors import ToolError

RELEASE = "1.3"
HOW_TO_INSTALL = f"pip install 'hls4ml=={RELEASE}.*'"

_LOG = logging.getLogger(__name__)


def require() -> None:
    """Raise ToolError unless an hls4ml of the release that this package was written for is installed."""
    try:
        found = version("hls4ml")
    except PackageNotFoundError as absent:
        raise ToolError(f"hls4ml is not installed; {HOW_TO_INSTALL}") from absent
    if not found.startswith(f"{RELEASE}."):
        raise ToolError(
            f"hls4ml {found} is installed; its layer list differs from {RELEASE}'s: {HOW_TO_INSTALL}"
        )


def load(module: str) -> ModuleType:
    """A module of hls4ml; ToolError where `require` raises."""
    require()
    with quiet():
        return import_module(module)


@contextmanager
def quiet() -> Iterator[StringIO]:
    """Collect what hls4ml prints and warns of; it goes to the log at level DEBUG."""
    said = StringIO()
    with warnings.catch_warnings(), redirect_stdout(said), redirect_stderr(said):
        warnings.simplefilter("ignore")
        yield said
    _LOG.debug("hls4ml: %s", said.getvalue())
