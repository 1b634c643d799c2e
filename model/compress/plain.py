"""Settings of quantizers and codebooks as plain values, for files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, TypeVar

from bitlathe.model.product.config import LayerCodes, ProductConfig
from bitlathe.model.quantize.config import LayerBits, QuantizeConfig

Config = TypeVar("Config", QuantizeConfig, ProductConfig)

_OF_LAYER: dict[type, type] = {QuantizeConfig: LayerBits, ProductConfig: LayerCodes}


def config_to_plain(config: QuantizeConfig | ProductConfig) -> dict[str, Any]:
    """Numbers, words and dicts that `config_from_plain` understands."""
    return {field.name: _plain(getattr(config, field.name)) for field in fields(config)}


def config_from_plain(kind: type[Config], plain: Mapping[str, Any]) -> Config:
    """The settings that `config_to_plain` wrote; TypeError or ValueError for anything else."""
    defaults, of_layer = kind(), _OF_LAYER[kind]
    values: dict[str, Any] = {name: _typed(getattr(defaults, name), v) for name, v in plain.items()}
    layers = {name: None if v is None else of_layer(**v) for name, v in plain["layers"].items()}
    return kind(**(values | {"layers": layers}))


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _plain(entry) for name, entry in value.items()}
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return value.value if isinstance(value, Enum) else value


def _typed(default: object, value: Any) -> object:
    if isinstance(default, Enum):
        return type(default)(value)
    return LayerCodes(**value) if isinstance(default, LayerCodes) else value
