"""Capture: read a PyTorch module into the float network by torch.export."""

from __future__ import annotations

import operator
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import fx, nn
from torch._ops import OpOverload
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils import _pytree

from bitlathe.model.capture.advice import advice
from bitlathe.model.capture.arrangement import made_of_images
from bitlathe.model.capture.calls import Argument, Call, NodesMade, TracedTensor
from bitlathe.model.capture.float_network import FloatInput, FloatNetwork
from bitlathe.model.capture.formula import Constant, Formula, Live, ModuleTensors, operation
from bitlathe.model.capture.last_steps import LastSteps, place_left
from bitlathe.model.capture.names import identifier, written_of
from bitlathe.model.capture.registry import BATCH_NORM, CONCATENATE, HANDLERS, HOST
from bitlathe.model.capture.returned import ReturnedForm, names_of, size_of
from bitlathe.model.capture.routes import BATCH, shape_of
from bitlathe.model.capture.simplify import simplify
from bitlathe.model.capture.users_code import (
    chooses_by_values,
    keeping_lines,
    line_of,
    made_at,
    place,
    quiet,
    told,
)
from bitlathe.model.graph.errors import BitlatheError, DataError, ShapeError, UnsupportedLayer, together
from bitlathe.model.graph.graph import Output
from bitlathe.model.graph.nodes import Shape
from bitlathe.model.zoo.modes import evaluating

_UNKNOWN = nn.Module()  # in place of one that an exported program names by a path of its own


def capture(
    model: nn.Module, input_shape: Shape, *, name: str | None = None, keeps_grids: bool = False
) -> FloatNetwork:
    """Float network of `model`, a module from images (N, C, H, W), x = (pixel - 128) / 128, to its outputs.

    It may return one tensor, or several in tuples, lists and dicts, whose keys name them.

    `input_shape` is (C, H, W). The model is read in evaluation mode and left as it was. Batch norm is folded;
    nodes are named by the paths of their modules, `layer1.0.conv1` as `layer1_0_conv1`. What the model
    rounds by fake quantization is not rounded, or with `keeps_grids` to the `grid` of a node. Raises
    UnsupportedLayer, naming operator and module; DataError for a NaN or infinite weight; ShapeError when the
    model does not take `input_shape`.
    """
    title = identifier(name or type(model).__name__.lower())
    _check_own(model, title)
    _check_finite(model, title)
    with evaluating(model):
        program = _export(title, model, _example(model, input_shape))
    modules = dict(model.named_modules(remove_duplicate=False))
    reader = _Reader(title=title, input_shape=input_shape, live=live_tensors(model), modules=modules)
    return simplify(reader.read(program), keeps_grids=keeps_grids)


def live_tensors(model: nn.Module) -> ModuleTensors:
    """Parameters and buffers of a module by name: the variables in the formulas of its captured weights.

    A tensor that several layers share is listed under each of its names.
    """
    parameters = model.named_parameters(remove_duplicate=False)
    return {**dict(parameters), **dict(model.named_buffers(remove_duplicate=False))}


def _check_own(model: nn.Module, title: str) -> None:
    errors = [
        UnsupportedLayer(
            f"{_place('', path, type(module).__name__, made_at(module))}: is quantized by brevitas; export "
            "it to ONNX, by its QCDQ or QONNX export, and give that file, whose integers are kept"
        )
        for path, module in model.named_modules()
        if type(module).__module__.split(".")[0] == "brevitas"
    ]
    if errors:
        raise together(errors, title)


def _check_finite(model: nn.Module, title: str) -> None:
    counts = {
        name: (int((~torch.isfinite(tensor)).sum()), tensor.numel())
        for name, tensor in (*model.named_parameters(), *model.named_buffers())
    }
    errors = [
        DataError(
            f"{_tensor_place(model, name)}: {bad} of {count} values are NaN or infinite; load intact weights "
            "or train again"
        )
        for name, (bad, count) in counts.items()
        if bad
    ]
    if errors:
        raise together(errors, title)


def _example(model: nn.Module, input_shape: Shape) -> torch.Tensor:
    parameter = next(model.parameters(), torch.zeros(()))
    return torch.zeros(BATCH, *input_shape, dtype=parameter.dtype, device=parameter.device)


def _export(title: str, model: nn.Module, example: torch.Tensor) -> torch.export.ExportedProgram:
    """Exported program without in-place operations.

    Replacing them takes longer than the export itself, so a program without in-place operations, all of which
    have handlers, is used as it is.
    """
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # PyTorch's warnings about its internals
        _try(title, model, example)
        try:
            with quiet(), keeping_lines():
                program: torch.export.ExportedProgram = torch.export.export(model, (example,))
                if _is_understood(program):
                    return program
                # with an empty table of decompositions, only in-place operations are replaced
                functional: torch.export.ExportedProgram = program.run_decompositions({})
        except Exception as error:  # export fails with many types, some of them private
            raise _untraceable(title, error) from error
    return functional


def _untraceable(title: str, error: Exception) -> UnsupportedLayer:
    if chooses_by_values(error):
        problem = f"its forward chooses by the value of a tensor {place(error)}".rstrip()
        remedy = "let no control flow in forward depend on values of tensors"
        return UnsupportedLayer(f"{title}: {problem}; {remedy}")
    remedy = "keep forward to PyTorch's operations on tensors"
    return UnsupportedLayer(f"{title}: torch.export cannot trace it ({told(error)}); {remedy}")


def _is_understood(program: torch.export.ExportedProgram) -> bool:
    calls = (node for node in program.graph.nodes if node.op == "call_function")
    return all(
        (str(node.target) in HANDLERS or str(node.target) in HOST) and not _takes_own_statistics(node)
        for node in calls
    )


def _takes_own_statistics(node: fx.Node) -> bool:
    """Whether it is a batch norm that uses the batch's statistics, by its sixth argument."""
    return str(node.target) == BATCH_NORM and bool(node.args[5])


def _try(title: str, model: nn.Module, example: torch.Tensor) -> None:
    try:
        model(example)
    except (RuntimeError, ValueError, IndexError, ShapeError) as error:
        shape = tuple(example.shape[1:])
        raise ShapeError(
            f"{title}: does not take images of shape {shape} ({told(error)}); give (C, H, W)"
        ) from error
    except Exception as error:  # whatever a user's forward raises
        raise UnsupportedLayer(f"{title}: its forward fails ({told(error)}); mend it") from error


@dataclass(kw_only=True)
class _Reader:
    """Walks an exported program, node by node."""

    title: str
    input_shape: Shape
    live: ModuleTensors
    modules: Mapping[str, nn.Module]  # by path
    made: NodesMade = field(default_factory=NodesMade)
    values: dict[fx.Node, Argument] = field(default_factory=dict)  # result of each operation read so far
    refusals: list[BitlatheError] = field(default_factory=list)  # all that stands in the way
    unknown: set[fx.Node] = field(default_factory=set)  # operations whose results nothing can be said of

    def read(self, program: torch.export.ExportedProgram) -> FloatNetwork:
        self._read_placeholders(program)
        steps = [LastSteps.before(result) for result in self._results(program)]
        needed = _needed([each.source for each in steps])
        self._check_constant_buffers(program, needed)
        for node in program.graph.nodes:
            if node.op == "call_function" and node in needed:
                self.values[node] = self._read_or_refused(node)
        if self.refusals:
            raise together(self.refusals, self.title)
        made, form, host = self._outputs(program, steps)
        output = made if len(made) > 1 else made[0].tensor
        return FloatNetwork(name=self.title, nodes=self.made.in_order, output=output, form=form, host=host)

    def _read_placeholders(self, program: torch.export.ExportedProgram) -> None:
        placeholders = [node for node in program.graph.nodes if node.op == "placeholder"]
        for node, spec in zip(placeholders, program.graph_signature.input_specs, strict=True):
            if spec.kind is InputKind.USER_INPUT:
                image = self.made.add(FloatInput(name="input", shape=self.input_shape), rank=-1)
                self.values[node] = TracedTensor(node=image, size=(BATCH, *self.input_shape))
            else:
                self.values[node] = self._tensor(str(spec.target), program)

    def _tensor(self, name: str, program: torch.export.ExportedProgram) -> Formula:
        """A parameter or buffer of the module, or a constant tensor in its code."""
        if name in self.live:
            return Live(name, self.live[name])
        return Constant(program.constants[name] if name in program.constants else program.state_dict[name])

    def _results(self, program: torch.export.ExportedProgram) -> list[Any]:
        """What forward returns; the program's outputs also include the buffers that it changes."""
        made = zip(program.graph.output_node().args[0], program.graph_signature.output_specs, strict=True)
        return [result for result, spec in made if spec.kind is OutputKind.USER_OUTPUT]

    def _check_constant_buffers(self, program: torch.export.ExportedProgram, needed: set[fx.Node]) -> None:
        """Refuse a buffer that forward changes and reads: its value would differ from image to image."""
        signature = program.graph_signature
        changed = {s.target for s in signature.output_specs if s.kind is OutputKind.BUFFER_MUTATION}
        placeholders = (node for node in program.graph.nodes if node.op == "placeholder")
        for node, spec in zip(placeholders, signature.input_specs, strict=True):
            if spec.target in changed and node in needed:
                self.refusals.append(
                    UnsupportedLayer(
                        f"{self.title}: forward changes the buffer {spec.target} that its output depends on; "
                        "keep buffers as they are in evaluation mode"
                    )
                )

    def _outputs(
        self, program: torch.export.ExportedProgram, steps: Sequence[LastSteps]
    ) -> tuple[tuple[Output, ...], ReturnedForm, tuple[str, ...]]:
        """What forward returns, how, and what of it is left to the host."""
        results = self._resolved([each.source for each in steps])
        assert program.call_spec.out_spec is not None
        places = _pytree.tree_unflatten(range(len(results)), program.call_spec.out_spec)
        names = names_of(places)
        pairs = zip(names, results, strict=True)
        unfit = [self._unlike_output(*pair) for pair in pairs if not isinstance(pair[1], TracedTensor)]
        if unfit:
            raise together(unfit, self.title)
        if not results:
            raise UnsupportedLayer(f"{self.title}: returns no tensor; return one, or several")
        empty = [name for name, result in zip(names, results, strict=True) if 0 in result.size]
        if empty:
            raise UnsupportedLayer(f"{self.title}: its output {empty[0]} has no values; leave it out")
        made = [_held_by_a_node(result) for result in results]
        last = [
            each.function(place_left(result), result.size[1:])
            for each, result in zip(steps, made, strict=True)
        ]
        form = ReturnedForm(
            sizes=tuple(
                size_of(result.size[1:] if result.order is None else result.node.shape) for result in made
            ),
            places=places if len(results) > 1 else 0,
            last_steps=tuple(last) if any(last) else (),
        )
        left = [name for each, result in zip(steps, made, strict=True) for name in each.names(result)]
        outputs = zip(names, (result.node.name for result in made), strict=True)
        return tuple(Output(*pair) for pair in outputs), form, tuple(dict.fromkeys(left))

    def _unlike_output(self, name: str, result: object) -> UnsupportedLayer:
        what = f"is of type {type(result).__name__}, not a tensor"
        if isinstance(result, Formula):
            what = "does not depend on the image"
        return UnsupportedLayer(f"{self.title}: its output {name} {what}; leave it out")

    def _read_or_refused(self, node: fx.Node) -> Argument:
        """What an operation makes; where it is refused, a stand-in, so that those behind it are read too."""
        if node.target is operator.getitem and node.args[0] in self.unknown:
            return self._stand_in(node)
        is_blind = not self.unknown.isdisjoint(node.all_input_nodes)
        if is_blind and (
            str(node.target) in HANDLERS or node.meta.get("val") is None or not self._reads_image(node)
        ):
            return self._stand_in(node)
        try:
            return self._value(node)
        except (UnsupportedLayer, ShapeError) as error:
            self.refusals.append(error)
            return self._stand_in(node)

    def _stand_in(self, node: fx.Node) -> Argument:
        """A tensor of the size that an operation makes; unknown if no map or vector of each image has it."""
        value = node.meta.get("val")
        if not isinstance(value, torch.Tensor) or value.ndim not in (2, 3, 4) or len(value) != BATCH:
            self.unknown.add(node)
            return None
        size = tuple(value.shape)
        if 0 in size:
            self.unknown.add(node)
            return None
        stand_in = FloatInput(name=self.made.name(identifier(node.name)), shape=shape_of(size))
        return TracedTensor(node=self.made.add(stand_in, rank=len(self.values)), size=size)

    def _value(self, node: fx.Node) -> Argument:
        if node.target is operator.getitem:
            made = self.values[node.args[0]]  # type: ignore[index]
            if isinstance(made, (list, tuple)):
                return made[node.args[1]]  # type: ignore[index]
            if isinstance(made, TracedTensor) and node.args[1] == 0:
                return made  # batch norm also returns statistics, a pool where its maxima are
        if node.meta.get("val") is None:  # an assertion about a tensor
            return None
        if not self._reads_image(node):
            return self._constant(node)
        call = self._call(node)
        if call.operator != CONCATENATE:  # which leaves out what is empty
            _check_filled(call, _leaves(tuple(call.arguments.values())))
        if call.operator not in HANDLERS and call.size[:1] != (BATCH,):
            raise call.mixes_images()
        if call.operator not in HANDLERS:
            raise call.refusal("has no exact integer form here", advice(call.operator))
        return call.result(HANDLERS[call.operator](call))

    def _reads_image(self, node: fx.Node) -> bool:
        read = [self.values[source] for source in node.all_input_nodes]
        return any(isinstance(value, TracedTensor) for value in _leaves(read))

    def _resolved(self, arguments: Any) -> Any:
        """Arguments in which results replace the nodes that make them."""
        return fx.map_arg(arguments, cast(Any, self.values.__getitem__))

    def _constant(self, node: fx.Node) -> Argument:
        """Result of an operation on constants: a formula for tensors, a number or list unchanged."""
        assert callable(node.target)
        target, sources = node.target, [self.values[source] for source in node.all_input_nodes]
        formulas = [source for source in sources if isinstance(source, Formula)]

        def function(*tensors: torch.Tensor) -> Any:
            given = {id(formula): tensor for formula, tensor in zip(formulas, tensors, strict=True)}

            def operand(source: fx.Node) -> Any:
                return given.get(id(self.values[source]), self.values[source])

            args, kwargs = cast(Any, fx.map_arg((node.args, node.kwargs), operand))
            return target(*args, **kwargs)

        with torch.no_grad():
            result = function(*(formula.value for formula in formulas))
        return operation(function, *formulas) if isinstance(result, torch.Tensor) else result

    def _call(self, node: fx.Node) -> Call:
        path, kind = _module_of(node)
        is_layer = kind.startswith("torch.nn.modules.")
        own = path if is_layer else f"{path}.{_operation(node)}"
        module = self.modules.get(path, _UNKNOWN)
        file, line = written_of(module), made_at(module) if is_layer else ""
        return Call(
            operator=str(node.target),
            where=file.name if file else _place(line_of(node), path, kind.rpartition(".")[2], line),
            written=file.operator if file else str(node.target),
            name=self.made.name(identifier(own.strip("."))),
            size=_size(node),
            arguments=self._arguments(node),
            target=cast(Callable[..., Any], node.target),
            made=self.made,
            rank=len(self.values),
        )

    def _arguments(self, node: fx.Node) -> dict[str, Argument]:
        """Arguments by name, with defaults filled in."""
        if not isinstance(node.target, OpOverload):  # Python's own operators, on the sizes of tensors
            return {}
        schema = node.target._schema.arguments
        arguments: dict[str, Argument] = {argument.name: argument.default_value for argument in schema}
        given = {**dict(zip(arguments, node.args, strict=False)), **node.kwargs}
        return {**arguments, **{name: self._resolved(value) for name, value in given.items()}}


def _held_by_a_node(result: TracedTensor) -> TracedTensor:
    """An output as a node's values; an order that no node makes is left to the host."""
    if result.order is None and result.size[0] == BATCH:
        return result
    assert result.moved is not None
    if not made_of_images(result.places, result.node.shape, BATCH):
        raise result.moved.mixes_images()
    return result.moved.ready(result)


def _check_filled(call: Call, operands: Iterable[object]) -> None:
    """Refuse an operand without values, by the operation that took none of them."""
    for operand in operands:
        if isinstance(operand, TracedTensor) and 0 in operand.size:
            raise (operand.moved or call).empty(operand.size)


def _leaves(values: Sequence[Argument]) -> Iterator[Argument]:
    """Values, and what lists of them hold."""
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from _leaves(value)
        else:
            yield value


def _needed(results: Sequence[Any]) -> set[fx.Node]:
    """Nodes that the results depend on."""
    found: set[fx.Node] = set()
    waiting = [result for result in results if isinstance(result, fx.Node)]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting.extend(node.all_input_nodes)
    return found


def _module_of(node: fx.Node) -> tuple[str, str]:
    """Path of the innermost module that calls `node`, and its class with the class's module."""
    path, kind = next(reversed(node.meta.get("nn_module_stack", {"": ("", "")}).values()))
    return path, str(kind) if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"


def _place(line: str, path: str, kind: str, made_at: str) -> str:
    """Where a problem is: line and module, and the line that made the module if that is another one.

    >>> _place("net.py:9", "body.1", "Tanh", "net.py:4"), _place("", "1", "Tanh", "net.py:4")
    ('net.py:9 in body.1 (Tanh, made in net.py:4)', 'net.py:4 in 1 (Tanh)')
    """
    made = f", made in {made_at}" if line and made_at and made_at != line else ""
    module = f"{path} ({kind}{made})" if path else kind
    return f"{line or made_at} in {module}" if line or made_at else module


def _tensor_place(model: nn.Module, name: str) -> str:
    """A tensor's name, with the line that made its module where that is known."""
    line = made_at(model.get_submodule(name.rpartition(".")[0]))
    return f"{line} in {name}" if line else name


def _operation(node: fx.Node) -> str:
    """Bare name of an operator: conv2d for aten.conv2d.default."""
    return re.sub(r"^aten\.(_*)(\w+)\..*", r"\2", str(node.target))


def _size(node: fx.Node) -> tuple[int, ...]:
    value = node.meta["val"]
    first = value[0] if isinstance(value, (tuple, list)) else value
    return tuple(first.shape)
