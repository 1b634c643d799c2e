"""Settings, batches and measures of every training, and PyTorch's files."""

from bitlathe.model.train.config import Precision, Schedule, TrainConfig, learning_rate
from bitlathe.model.train.evaluate import Metrics, evaluate, predict, score
from bitlathe.model.train.losses import LOSSES, TaskLoss
from bitlathe.model.train.metrics import METRICS, TaskMetric
from bitlathe.model.train.task import Task, usual_task

__all__ = [
    "LOSSES",
    "METRICS",
    "Metrics",
    "Precision",
    "Schedule",
    "Task",
    "TaskLoss",
    "TaskMetric",
    "TrainConfig",
    "evaluate",
    "learning_rate",
    "predict",
    "score",
    "usual_task",
]
