"""Networks of the user's own: modules, functions in a Python file that make them, and ONNX files."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from bitlathe.flow.errors import UsageError
from bitlathe.flow.network.own_file import (
    beside,
    called,
    is_function,
    label,
    located,
    naming,
    own_function,
    place,
)
from bitlathe.flow.progress import Note, Progress
from bitlathe.model.capture.users_code import noting_lines
from bitlathe.model.data import Images, Labels, to_input, to_target
from bitlathe.model.graph.nodes import Shape
from bitlathe.model.graph.normalization import NONE, Normalization
from bitlathe.model.onnx import Agreement, OnnxNetwork, import_and_compare, import_onnx
from bitlathe.model.train import TaskLoss
from bitlathe.model.zoo import Normalize, adapted
from bitlathe.model.zoo.outputs import float_outputs, tensors_of

NetworkSource = str | nn.Module  # a name, as `is_own` and the zoo read it, or the network itself

_EXAMPLES = 3  # images to try a network with: a number that code is unlikely to hold


def is_own(network: NetworkSource) -> bool:
    """Whether a network is a module, FILE.py:FUNCTION, FILE.onnx or FILE.onnx:OUTPUT, not one of the zoo.

    >>> is_own("nets.py:make"), is_own("net.onnx"), is_own("resnet8")
    (True, True, False)
    """
    return isinstance(network, nn.Module) or is_function(network) or onnx_file(network) is not None


def onnx_file(network: NetworkSource) -> tuple[Path, str | None] | None:
    """File and output of FILE.onnx[:OUTPUT]; None for other networks.

    >>> onnx_file("a/net.onnx:logits:0"), onnx_file("nets.py:make")
    ((PosixPath('a/net.onnx'), 'logits:0'), None)
    >>> onnx_file("models.onnx/net.onnx")
    (PosixPath('models.onnx/net.onnx'), None)
    """
    if isinstance(network, nn.Module):
        return None
    found = re.fullmatch(r"(.+?\.onnx)(?::(.+))?", network, re.DOTALL)
    return None if found is None else (Path(found[1]), found[2])


def own_name(network: NetworkSource) -> str:
    """The name of a network: the module's class, the function, or the ONNX file without its suffix.

    >>> own_name("nets.py:make"), own_name("a/net.onnx:logits")
    ('make', 'net')
    """
    found = onnx_file(network)
    return label(network).rpartition(":")[2] if found is None else found[0].stem


def _imported(path: Path, output: str | None, shape: Shape, progress: Progress | None) -> OnnxNetwork:
    """The network of an ONNX file; compared with ONNX Runtime where there is a `progress` to tell."""
    if progress is None:
        return import_onnx(path, shape, output)
    model, agreement = import_and_compare(path, shape, output)
    for line in _how_it_was_read(path, model, agreement):
        progress(Note(line))
    return model


def _how_it_was_read(path: Path, model: OnnxNetwork, agreement: Agreement) -> list[str]:
    left = [f"left to the host: {', '.join(reversed(model.host))}"] if model.host else []
    if model.takes_steps_from_images:
        left.append(
            "its steps differ from image to image, so its dequantized weights are read, and no integers"
        )
    elif model.rounds:
        left.append("quantized already: what trains it goes on from its dequantized weights")
    return [
        f"{path.name}: differs from ONNX Runtime by {agreement.difference:.1e} at most, of outputs up to "
        f"{agreement.magnitude:.3g}, on {agreement.images} random images",
        *left,
    ]


def make_own(
    network: NetworkSource,
    seed: int,
    shape: Shape,
    normalization: Normalization = NONE,
    progress: Progress | None = None,
) -> nn.Module:
    """A copy of a module, what FUNCTION of FILE.py returns, or FILE.onnx, as `zoo.adapted` makes it.

    `shape` is (C, H, W) of the images. Random weights of a function are seeded, and its file may import what
    is beside it. `progress` is called with how an ONNX file was read, which is then compared with ONNX
    Runtime. Raises UsageError, with file and line, for what goes wrong in a function, and where it makes no
    module; what `import_and_compare` raises.
    """
    normalize = Normalize.of(normalization)
    if isinstance(network, nn.Module):
        return adapted(copy.deepcopy(network).cpu(), torch.zeros(_EXAMPLES, *shape), normalize)
    found = onnx_file(network)
    if found is not None:
        return adapted(_imported(*found, shape, progress), torch.zeros(_EXAMPLES, *shape), normalize)
    with torch.random.fork_rng(devices=[]), noting_lines():
        maker = own_function(network, "a torch.nn.Module")
        torch.manual_seed(seed)
        with beside(Path(network.rpartition(":")[0])), located(network):
            return adapted(_made(maker, network), torch.zeros(_EXAMPLES, *shape), normalize)


@torch.no_grad()
def own_outputs(network: NetworkSource, model: nn.Module, shape: Shape) -> tuple[tuple[int, ...], ...]:
    """Shapes of what a network makes of one image; UsageError, with file and line, where it fails."""
    with located(network, f", for images of shape {shape}"):
        outputs = tensors_of(model.eval()(torch.zeros(_EXAMPLES, *shape)))
    for output in outputs:
        if output.shape[:1] != (_EXAMPLES,):
            raise UsageError(
                f"{label(network)}: makes an output of shape {tuple(output.shape)} of {_EXAMPLES} images; "
                "keep the images of a batch apart"
            )
    return tuple(tuple(output.shape[1:]) for output in outputs)


def check_trains(
    network: NetworkSource, model: nn.Module, images: Images, labels: Labels, loss: TaskLoss
) -> None:
    """Raise UsageError, with file and line, where the forward pass fails in training mode only.

    The loss is tried on its outputs: raises what that raises.
    """
    modes = {module: module.training for module in model.modules()}
    tensors = (*model.parameters(), *model.buffers())
    state = [tensor.detach().clone() for tensor in tensors]
    try:
        with torch.random.fork_rng(devices=[]):
            with located(network):
                judged, returned = model.eval()(to_input(images)), model.train()(to_input(images))
            _check_alike(network, tensors_of(judged), tensors_of(returned))
            with naming(network):
                loss(float_outputs(returned), to_target(labels))
    finally:
        with torch.no_grad():
            for tensor, value in zip(tensors, state, strict=True):
                tensor.copy_(value)  # batch norm's statistics have moved
        for module, training in modes.items():
            module.training = training


def _check_alike(network: NetworkSource, judged: Sequence[Tensor], trained: Sequence[Tensor]) -> None:
    """Raise UsageError where training returns other outputs than evaluation, such as auxiliary heads."""
    shapes = [[tuple(output.shape[1:]) for output in outputs] for outputs in (trained, judged)]
    if shapes[0] != shapes[1]:
        raise UsageError(
            f"{label(network)}: returns {len(trained)} outputs of {shapes[0]} in training and "
            f"{len(judged)} of {shapes[1]} in evaluation; return the same in both"
        )


def _made(maker: Callable[..., object], network: str) -> nn.Module:
    """The network; UsageError for a function that wants arguments or returns something else."""
    made = maker if isinstance(maker, nn.Module) else called(maker, network)
    if not isinstance(made, nn.Module):
        raise UsageError(
            f"{place(maker, network)}: returns {type(made).__name__}; let it return a torch.nn.Module"
        )
    return made
