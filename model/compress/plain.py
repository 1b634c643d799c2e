"""Quantizer settings as plain values, for files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from typing import Any

from bitlathe.model.quantize.config import LayerBits, QuantizeConfig


def config_to_plain(config: QuantizeConfig) -> dict[str, Any]:
    """Numbers, words and dicts that `config_from_plain` understands."""
    return _fields_of(config) | {"layers": {name: _fields_of(bits) for name, bits in config.layers.items()}}


def config_from_plain(plain: Mapping[str, Any]) -> QuantizeConfig:
    """Settings of `config_to_plain`; TypeError or ValueError if they are others."""
    defaults = QuantizeConfig()
    values: dict[str, Any] = {name: _typed(getattr(defaults, name), v) for name, v in plain.items()}
    layers = {name: LayerBits(**bits) for name, bits in plain["layers"].items()}
    return QuantizeConfig(**(values | {"layers": layers}))


def _fields_of(settings: QuantizeConfig | LayerBits) -> dict[str, Any]:
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    return {name: v.value if isinstance(v, Enum) else v for name, v in values.items()}


def _typed(default: object, value: object) -> object:
    return type(default)(value) if isinstance(default, Enum) else value
