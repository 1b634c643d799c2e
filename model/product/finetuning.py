"""Training of a tied network: codewords follow their members' gradients, members move between epochs."""

from __future__ import annotations

import logging
from pathlib import Path

from rich.progress import Progress

from bitlathe.model.data import Dataset
from bitlathe.model.product.share import refresh
from bitlathe.model.quantize.fake_quant import FakeQuantNetwork
from bitlathe.model.train.checkpoint import History
from bitlathe.model.train.config import TrainConfig
from bitlathe.model.train.loop import CHECKPOINT_NAME, Trainer

_LOG = logging.getLogger(__name__)


def finetune(
    module: FakeQuantNetwork,
    dataset: Dataset,
    config: TrainConfig,
    out: Path,
    *,
    refreshed_epochs: int = 0,
    resume: bool = False,
    progress: Progress | None = None,
) -> History:
    """Train a tied module in place; what each epoch measured. Every epoch leaves a checkpoint in `out`.

    The vectors are assigned anew before each of the first `refreshed_epochs` epochs but the first; then they
    stay. Equal settings, data and module give equal weights, resumed or not. Raises BitlatheError when
    the loss leaves the finite numbers; the checkpoint is then the last good one.
    """

    def before_epoch(epoch: int) -> None:
        if 0 < epoch < refreshed_epochs:
            _LOG.info("before epoch %d: %d vectors took other codewords", epoch + 1, refresh(module))

    trainer = Trainer(config, dataset, out / CHECKPOINT_NAME, module, before_epoch)
    if resume and trainer.checkpoint.exists():
        trainer.resume()
    trainer.run(progress if progress is not None else Progress(disable=True))
    return trainer.history
