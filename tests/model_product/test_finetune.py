"""Fine-tuning on real images: exact, resumable, stopped where the loss leaves the numbers."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bitlathe.model.data import Dataset, load_dataset
from bitlathe.model.graph.compact import decode_compact, encode_compact
from bitlathe.model.graph.errors import BitlatheError
from bitlathe.model.graph.nodes import Conv2d, Dense
from bitlathe.model.graph.reference import evaluate
from bitlathe.model.product import LayerCodes, ProductConfig, finetune, lowered, share
from bitlathe.model.quantize.fake_quant import FakeQuantNetwork
from bitlathe.model.quantize.preprocess import Preprocess
from bitlathe.model.quantize.quantizer import quantize
from bitlathe.model.train import TrainConfig, load_pretrained

CONFIG = TrainConfig(network="lenet5", epochs=2, batch_size=64, lr=0.01, weight_decay=0.0)
CODES = ProductConfig(
    convolution=LayerCodes(length=6, codewords=16), dense=LayerCodes(length=8, codewords=64), smallest=500
)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


def tied(digits: Dataset) -> tuple[FakeQuantNetwork, Preprocess]:
    quantized = quantize(load_pretrained("lenet5", "digits"), digits.train_images[:128])
    module = quantized.trainable().eval()
    assert len(share(module, CODES)) == 4
    return module, quantized.preprocess


def test_a_network_trained_on_images_is_exactly_the_graph_in_its_file(
    digits: Dataset, tmp_path: Path
) -> None:
    module, preprocess = tied(digits)
    before = lowered(module)
    history = finetune(module, digits, CONFIG, tmp_path, refreshed_epochs=2)
    graph = decode_compact(encode_compact(lowered(module)))
    codes = preprocess.codes(digits.test_images)
    logits = evaluate(graph, codes)
    np.testing.assert_array_equal(logits, module.codes(codes))
    right = (logits.reshape(len(logits), -1).argmax(axis=1) == digits.test_labels).mean()
    assert right == history[-1].test_accuracy > 0.8
    for node, earlier in zip(graph.nodes, before.nodes, strict=True):
        if isinstance(node, Conv2d | Dense) and node.codebook is not None:
            assert isinstance(earlier, Conv2d | Dense) and earlier.codebook is not None
            assert (node.codebook.values != earlier.codebook.values).any()


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = tied(digits)
    finetune(whole, digits, CONFIG, tmp_path / "whole", refreshed_epochs=2)

    def stop(module: FakeQuantNetwork) -> int:
        raise KeyboardInterrupt

    stopped, _ = tied(digits)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("bitlathe.model.product.finetuning.refresh", stop)
        finetune(stopped, digits, CONFIG, tmp_path / "parts", refreshed_epochs=2)
    resumed, _ = tied(digits)
    finetune(resumed, digits, CONFIG, tmp_path / "parts", refreshed_epochs=2, resume=True)
    assert encode_compact(lowered(resumed)) == encode_compact(lowered(whole))
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_a_loss_beyond_the_numbers_stops_the_run(digits: Dataset, tmp_path: Path) -> None:
    module, _ = tied(digits)
    for layer in module.weighted():
        torch.nn.init.constant_(layer.bias, float("nan"))
    with pytest.raises(BitlatheError, match=r"the loss became nan at step 1 of epoch 1; nothing was kept"):
        finetune(module, digits, CONFIG, tmp_path)
