"""Networks of the user's own: modules, functions in a Python file that make them, and ONNX files."""

from __future__ import annotations

import copy
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from bitlathe.flow.errors import UsageError
from bitlathe.model.graph.errors import BitlatheError
from bitlathe.model.graph.nodes import Shape
from bitlathe.model.onnx import compare, import_onnx
from bitlathe.model.zoo import Normalize, adapted

NetworkSource = str | nn.Module  # a name, as `is_own` and the zoo read it, or the network itself

OWN_MODULE = "bitlathe_own_network"  # what FILE.py is called while it is loaded
_PACKAGE = Path(__file__).resolve().parents[2]
_EXAMPLES = 3  # images to try a network with: a number that code is unlikely to hold


def is_own(network: NetworkSource) -> bool:
    """Whether a network is a module, FILE.py:FUNCTION, FILE.onnx or FILE.onnx:OUTPUT, not one of the zoo.

    >>> is_own("nets.py:make"), is_own("net.onnx"), is_own("resnet8")
    (True, True, False)
    """
    return isinstance(network, nn.Module) or ".py:" in network or onnx_file(network) is not None


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


def label(network: NetworkSource) -> str:
    """A network's name in messages: as it was given, or the class of a module."""
    return network if isinstance(network, str) else type(network).__name__


def own_name(network: NetworkSource) -> str:
    """The name of a network: the module's class, the function, or the ONNX file without its suffix.

    >>> own_name("nets.py:make"), own_name("a/net.onnx:logits")
    ('make', 'net')
    """
    found = onnx_file(network)
    return label(network).rpartition(":")[2] if found is None else found[0].stem


def how_it_was_read(network: NetworkSource, shape: Shape) -> list[str]:
    """Lines that tell of an ONNX file's network, compared with ONNX Runtime; none of others.

    Raises what `import_onnx` and `compare` raise.
    """
    found = onnx_file(network)
    if found is None:
        return []
    model = import_onnx(found[0], shape, found[1])
    agreement = compare(model, found[0], shape)
    left = [f"left to the host: {', '.join(reversed(model.host))}"] if model.host else []
    return [
        f"{found[0].name}: differs from ONNX Runtime by {agreement.difference:.1e} at most, of outputs up to "
        f"{agreement.magnitude:.3g}, on {agreement.images} random images",
        *left,
    ]


def make_own(
    network: NetworkSource, seed: int, shape: Shape, normalize: Normalize | None = None
) -> nn.Module:
    """A copy of a module, what FUNCTION of FILE.py returns, or FILE.onnx, as `zoo.adapted` makes it.

    `shape` is (C, H, W) of the images. Random weights of a function are seeded, and its file may import what
    is beside it. Raises UsageError, with file and line, for what goes wrong in it, and where it makes no
    module; what `import_onnx` raises.
    """
    if isinstance(network, nn.Module):
        return adapted(copy.deepcopy(network).cpu(), torch.zeros(_EXAMPLES, *shape), normalize)
    found = onnx_file(network)
    if found is not None:
        return adapted(import_onnx(found[0], shape, found[1]), torch.zeros(_EXAMPLES, *shape), normalize)
    file, _, function = network.rpartition(":")
    with _beside(Path(file)), torch.random.fork_rng(devices=[]), _located(network):
        maker = getattr(_module(Path(file)), function, None)
        if not callable(maker):
            raise UsageError(f"{file}: has no function {function}; name one that returns a torch.nn.Module")
        torch.manual_seed(seed)
        model = _made(maker, network)
        return adapted(model, torch.zeros(_EXAMPLES, *shape), normalize)


@torch.no_grad()
def own_outputs(network: NetworkSource, model: nn.Module, shape: Shape) -> tuple[int, ...]:
    """Shape of what a network makes of one image; UsageError, with file and line, where it fails."""
    with _located(network, f", for images of shape {shape}"):
        outputs = model.eval()(torch.zeros(_EXAMPLES, *shape))
    if outputs.shape[:1] != (_EXAMPLES,):
        raise UsageError(
            f"{label(network)}: makes an output of shape {tuple(outputs.shape)} of {_EXAMPLES} images; "
            "keep the images of a batch apart"
        )
    return tuple(outputs.shape[1:])


def check_trains(network: NetworkSource, model: nn.Module, shape: Shape) -> None:
    """Raise UsageError, with file and line, where the forward pass fails in training mode only."""
    modes = {module: module.training for module in model.modules()}
    tensors = (*model.parameters(), *model.buffers())
    state = [tensor.detach().clone() for tensor in tensors]
    try:
        with _located(network), torch.random.fork_rng(devices=[]), torch.no_grad():
            model.train()(torch.zeros(_EXAMPLES, *shape))
    finally:
        with torch.no_grad():
            for tensor, value in zip(tensors, state, strict=True):
                tensor.copy_(value)  # batch norm's statistics have moved
        for module, training in modes.items():
            module.training = training


def _made(maker: Callable[..., object], network: str) -> nn.Module:
    """The network; UsageError for a function that wants arguments or returns something else."""
    made = maker if isinstance(maker, nn.Module) else _called(maker, network)
    if not isinstance(made, nn.Module):
        raise UsageError(
            f"{_place(maker, network)}: returns {type(made).__name__}; let it return a torch.nn.Module"
        )
    return made


def _called(maker: Callable[..., object], network: str) -> object:
    try:
        inspect.signature(maker).bind()
    except TypeError as error:
        raise UsageError(
            f"{_place(maker, network)}: is called without arguments ({error}); give each a default"
        ) from error
    except ValueError:  # of what has no signature, such as a function in C
        pass
    return maker()


def _place(maker: Callable[..., object], network: str) -> str:
    """FILE.py:LINE of a function or class, followed by its name."""
    file, _, function = network.rpartition(":")
    try:
        source, line = inspect.getsourcefile(maker) or file, inspect.getsourcelines(maker)[1]
    except (OSError, TypeError):
        return network
    return f"{file if Path(source).resolve() == Path(file).resolve() else source}:{line}: {function}"


@contextmanager
def _located(network: NetworkSource, doing: str = "") -> Iterator[None]:
    """Turn whatever the user's own code raises into one line: file and line, and what it was `doing`."""
    try:
        yield
    except BitlatheError:
        raise
    except (Exception, SystemExit) as error:
        where = doing if isinstance(error, (RuntimeError, ValueError)) else ""
        raise UsageError(
            f"{_raised_at(error, network)}: {_described(error)}{where}; mend it there"
        ) from error


def _raised_at(error: BaseException, network: NetworkSource) -> str:
    """FILE:LINE of the innermost code of the user's that an error passed: in the file, or in its folder."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    installed = [f for f in frames if "site-packages" not in Path(f.filename).parts]
    if isinstance(network, nn.Module):
        inside = [f for f in installed if _PACKAGE not in Path(f.filename).resolve().parents]
    else:
        file = Path(network.rpartition(":")[0]).resolve()
        own = [f for f in installed if file.parent in Path(f.filename).resolve().parents]
        inside = [f for f in own if Path(f.filename).resolve() == file] or own
    return f"{inside[-1].filename}:{inside[-1].lineno}" if inside else label(network)


def _described(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)  # its place is in the message already
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


@contextmanager
def _beside(file: Path) -> Iterator[None]:
    """Let imports find what is in the file's folder, as when Python runs the file."""
    folder = str(file.resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _module(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(OWN_MODULE, file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise UsageError(f"{file}: no such Python file; give FILE.py:FUNCTION")
    module = importlib.util.module_from_spec(spec)
    sys.modules[OWN_MODULE] = module  # dataclasses and pickles look their module up by its name
    spec.loader.exec_module(module)
    return module
