"""Settings, batches and measures of every training, and PyTorch's files."""

from bitlathe.model.train.config import Precision, Schedule, TrainConfig, learning_rate
from bitlathe.model.train.evaluate import Metrics, evaluate, predict

__all__ = ["Metrics", "Precision", "Schedule", "TrainConfig", "evaluate", "learning_rate", "predict"]
