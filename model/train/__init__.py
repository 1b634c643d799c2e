"""Training, evaluation and weight files."""

from bitlathe.model.train.checkpoint import EpochMetrics
from bitlathe.model.train.config import Precision, Schedule, TrainConfig, learning_rate
from bitlathe.model.train.evaluate import Metrics, evaluate, predict
from bitlathe.model.train.loop import TrainResult, train
from bitlathe.model.train.weights import (
    WeightsMetadata,
    load_pretrained,
    load_state,
    load_weights,
    read_metadata,
    save_weights,
)

__all__ = [
    "EpochMetrics",
    "Metrics",
    "Precision",
    "Schedule",
    "TrainConfig",
    "TrainResult",
    "WeightsMetadata",
    "evaluate",
    "learning_rate",
    "load_pretrained",
    "load_state",
    "load_weights",
    "predict",
    "read_metadata",
    "save_weights",
    "train",
]
