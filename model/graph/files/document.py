"""The nodes of a graph as JSON; each field is written and read by its declared type."""

import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, fields
from operator import index
from typing import Any, get_type_hints

import numpy as np
import numpy.typing as npt

from bitlathe.model.graph.codebook import Codebook, index_shape, packed, unpacked
from bitlathe.model.graph.elementwise import Lookup, Product
from bitlathe.model.graph.errors import BitlatheError, FormatError
from bitlathe.model.graph.files.npy import array_from_npy, npy_from_array
from bitlathe.model.graph.fixed_point import FixedPoint, RoundingMode
from bitlathe.model.graph.graph import Graph, ImageCodes, ImageEntry, Output
from bitlathe.model.graph.nodes import (
    AvgPool2d,
    Concat,
    Conv2d,
    Dense,
    Input,
    IntWeights,
    MaxPool2d,
    Node,
    Pair,
    Shape,
)
from bitlathe.model.graph.resampling import (
    ConvTranspose2d,
    Interpolate2d,
    Interval,
    IntervalPool2d,
    PixelShuffle2d,
    PixelUnshuffle2d,
    Upsample2d,
)

FORMAT = "bitlathe integer graph"
VERSION = 4  # the newest, with all operators; a graph is written in the oldest that can hold it
ROUNDING_VERSION = 3  # only pools, dense, and convolutions without dilation, of 1 group or depthwise
CODEBOOK_VERSION = 2  # without modes of rounding, halves up, and of one output
PLAIN_VERSION = 1  # nor codebooks
LARGEST = (1 << 31) - 1  # of any integer in the JSON
HEADER_FIELDS = ("format", "version", "name", "output", "nodes")
IMAGES_FIELD = "images"  # of the header, which may be absent
IMAGES_FIELDS = ("codes", "normalization")
OUTPUT_FIELDS = ("name", "tensor")
CODEBOOK_FIELDS = ("shape", "values", "indices")
OLD_NODES = (Input, Conv2d, Dense, MaxPool2d, AvgPool2d, Concat)
NEW_NODES = (
    ConvTranspose2d,
    Interpolate2d,
    IntervalPool2d,
    Lookup,
    PixelShuffle2d,
    PixelUnshuffle2d,
    Product,
    Upsample2d,
)
NODE_TYPES: dict[str, type[Node]] = {node.__name__: node for node in (*OLD_NODES, *NEW_NODES)}
SINCE = {"rounding": ROUNDING_VERSION, "end_padding": VERSION, "dilation": VERSION}  # of fields with defaults


@dataclass(kw_only=True)
class ArrayStore:
    """Arrays beside the text, as .npy bytes by member name."""

    members: dict[str, bytes] = field(default_factory=dict)

    def put(self, name: str, array: npt.NDArray[np.integer[Any]]) -> str:
        """Add an array; return the name by which the text refers to it."""
        self.members[name] = npy_from_array(array)
        return name

    def take(self, name: str) -> IntWeights:
        """Remove and return an array of signed integers; FormatError if there is none."""
        array: npt.NDArray[Any] = self._take(name)
        if not np.issubdtype(array.dtype, np.signedinteger):
            raise FormatError(f"{name}: an array of {array.dtype}; save it as int8, int16 or int32")
        return array

    def take_bytes(self, name: str) -> npt.NDArray[np.uint8]:
        """Remove and return an array of bytes; FormatError if there is none."""
        array: npt.NDArray[Any] = self._take(name)
        if array.dtype != np.uint8:
            raise FormatError(f"{name}: an array of {array.dtype}; save it as uint8")
        return array

    def _take(self, name: str) -> npt.NDArray[np.integer[Any]]:
        if name not in self.members:
            raise FormatError(f"array {name!r} is missing; every array belongs to one field")
        return array_from_npy(self.members.pop(name), name)


def json_from_graph(graph: Graph, store: ArrayStore) -> bytes:
    """JSON of a graph in ASCII, one line per node; its arrays go to `store`."""
    version = _version_of(graph)
    nodes = (_plain_node(number, node, store, version) for number, node in enumerate(graph.nodes))
    header: dict[str, object] = {
        "format": FORMAT,
        "version": version,
        "name": graph.name,
        "output": graph.output,
    }
    if not isinstance(graph.output, str):
        header["output"] = [output._asdict() for output in graph.output]
    if graph.images is not None:
        entry = {"codes": graph.images.codes.value, "normalization": graph.images.normalization}
        header[IMAGES_FIELD] = entry
    lines = ",\n".join(json.dumps(node, default=index) for node in nodes)  # `index` takes NumPy's integers
    return f'{json.dumps(header).removesuffix("}")}, "nodes": [\n{lines}\n]}}\n'.encode("ascii")


def graph_from_json(text: bytes, store: ArrayStore) -> Graph:
    """Graph of JSON whose arrays are in `store`; FormatError or ShapeError, naming the node and field."""
    document = _parsed(text)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise FormatError(f"the JSON is not a {FORMAT}; name a file that this program saved")
    version = document.get("version")
    if not isinstance(version, int) or version not in range(PLAIN_VERSION, VERSION + 1):
        raise FormatError(
            f"version {version!r} of the format, this program reads {PLAIN_VERSION} to {VERSION}; "
            "convert the file"
        )
    has_images = version >= ROUNDING_VERSION and IMAGES_FIELD in document
    _check_keys("the header", document, (*HEADER_FIELDS, *([IMAGES_FIELD] if has_images else [])))
    nodes = _list("nodes", document["nodes"])
    return Graph(
        name=_string("name", document["name"]),
        nodes=tuple(_node(number, node, store, version) for number, node in enumerate(nodes)),
        output=_output(document["output"], may_list=version >= ROUNDING_VERSION),
        images=_images(document[IMAGES_FIELD]) if has_images else None,
    )


def _images(plain: object) -> ImageEntry:
    if not isinstance(plain, dict):
        raise FormatError(f"{IMAGES_FIELD}: {plain!r} does not say how images enter")
    _check_keys(IMAGES_FIELD, plain, IMAGES_FIELDS)
    known = {codes.value: codes for codes in ImageCodes}
    codes = _string(f"{IMAGES_FIELD}, codes", plain["codes"])
    if codes not in known:
        raise FormatError(f"{IMAGES_FIELD}, codes: {codes!r} is none of {', '.join(known)}")
    seen = _optional_string(f"{IMAGES_FIELD}, normalization", plain["normalization"])
    return ImageEntry(codes=known[codes], normalization=seen)


def _output(plain: object, *, may_list: bool) -> str | tuple[Output, ...]:
    if isinstance(plain, list) and may_list:
        return tuple(_named_output(item) for item in plain)
    return _string("output", plain)


def _named_output(plain: object) -> Output:
    if not isinstance(plain, dict):
        raise FormatError(f"output: {plain!r} is not an output")
    _check_keys("output", plain, OUTPUT_FIELDS)
    return Output(**{name: _string(f"output, {name}", plain[name]) for name in OUTPUT_FIELDS})


def field_types(node_type: type[Node], version: int = VERSION) -> dict[str, Any]:
    """Declared type of each field that is written, in order; a codebook replaces the weight."""
    hints = get_type_hints(node_type)
    absent = {"codebook", *(name for name, since in SINCE.items() if since > version)}
    return {item.name: hints[item.name] for item in fields(node_type) if item.name not in absent}


def _version_of(graph: Graph) -> int:
    """The oldest version that can hold a graph."""
    ends = (
        ROUNDING_VERSION if not isinstance(graph.output, str) or graph.images is not None else PLAIN_VERSION
    )
    return max(ends, *map(_version_of_node, graph.nodes))


def _version_of_node(node: Node) -> int:
    if isinstance(node, NEW_NODES) or _has_new_windows(node):
        return VERSION
    if getattr(node, "rounding", RoundingMode.HALF_UP) is not RoundingMode.HALF_UP:
        return ROUNDING_VERSION
    return PLAIN_VERSION if getattr(node, "codebook", None) is None else CODEBOOK_VERSION


def _has_new_windows(node: Node) -> bool:
    if not isinstance(node, Conv2d | MaxPool2d):
        return False
    windows = node.windows
    general = isinstance(node, Conv2d) and node.groups > 1 and not node.is_depthwise
    return general or windows.dilation != (1, 1) or node.end_padding is not None or min(windows.padding) < 0


def _plain_node(number: int, node: Node, store: ArrayStore, version: int) -> dict[str, Any]:
    plain: dict[str, Any] = {"type": type(node).__name__}
    for name in field_types(type(node), version):
        value = getattr(node, name)
        if name == "weight" and isinstance(node, Conv2d | Dense) and node.codebook is not None:
            plain[name] = _plain_codebook(number, node.codebook, node.weight.shape, store)
        elif isinstance(value, np.ndarray):
            member = f"{number}.{name}.npy"
            plain[name] = store.put(member, value.astype(_storage_type(node, name)))
        else:
            plain[name] = _plain_value(value)
    return plain


def _plain_codebook(
    number: int, codebook: Codebook, shape: tuple[int, ...], store: ArrayStore
) -> dict[str, Any]:
    return {
        "shape": shape,
        "values": store.put(f"{number}.values.npy", codebook.values),
        "indices": store.put(f"{number}.indices.npy", packed(codebook)),
    }


def _plain_value(value: object) -> object:
    if isinstance(value, RoundingMode):
        return value.value
    if isinstance(value, FixedPoint):
        return {item.name: getattr(value, item.name) for item in fields(value)}
    return value


def _storage_type(node: Node, name: str) -> type[np.signedinteger[Any]]:
    """Type of an array in a file: it depends only on the declared width, so equal graphs give equal bytes."""
    assert isinstance(node, Conv2d | Dense | ConvTranspose2d)
    if name == "bias":
        return np.int32
    return np.int8 if node.weight_bits <= 8 else np.int16


def _node(number: int, plain: object, store: ArrayStore, version: int) -> Node:
    where = f"node {number}"
    if not isinstance(plain, dict):
        raise FormatError(f"{where}: {plain!r} is not a node")
    known = NODE_TYPES if version == VERSION else {node.__name__: node for node in OLD_NODES}
    node_type = known.get(str(plain.get("type")))
    if node_type is None:
        raise FormatError(f"{where}: type {plain.get('type')!r} is none of {', '.join(known)}")
    types = field_types(node_type, version)
    _check_keys(where, plain, ("type", *types))
    values = {name: _value(f"{where}, {name}", kind, plain[name], store) for name, kind in types.items()}
    if isinstance(values.get("weight"), Codebook):
        codebook = values["codebook"] = values["weight"]
        values["weight"] = codebook.decode(plain["weight"]["shape"][1])
    return node_type(**values)


def _value(where: str, kind: Any, plain: object, store: ArrayStore) -> Any:
    if kind == IntWeights:
        return (
            _codebook(where, plain, store) if isinstance(plain, dict) else store.take(_string(where, plain))
        )
    return READERS[kind](where, plain)


def _codebook(where: str, plain: dict[str, Any], store: ArrayStore) -> Codebook:
    _check_keys(where, plain, CODEBOOK_FIELDS)
    shape = _integers(f"{where}, shape", plain["shape"])
    values = store.take(_string(f"{where}, values", plain["values"]))
    data = store.take_bytes(_string(f"{where}, indices", plain["indices"]))
    if len(shape) not in (2, 4) or min(shape) < 1 or values.ndim != 2 or not values.size:
        raise FormatError(
            f"{where}: codewords {values.shape} for weights {shape}; codewords have 2 axes, weights 2 or 4"
        )
    try:
        indices = unpacked(data, len(values), index_shape(shape, values.shape[1]))
        return Codebook(values=values, indices=indices)
    except BitlatheError as error:
        raise FormatError(f"{where}: {error}") from error


def _format(where: str, plain: object) -> FixedPoint:
    if not isinstance(plain, dict):
        raise FormatError(f"{where}: {plain!r} is not a fixed-point format")
    _check_keys(where, plain, [item.name for item in fields(FixedPoint)])
    bits, frac = _integer(f"{where}, bits", plain["bits"]), _integer(f"{where}, frac", plain["frac"])
    return FixedPoint(bits=bits, frac=frac, signed=_boolean(f"{where}, signed", plain["signed"]))


def _rounding(where: str, plain: object) -> RoundingMode:
    modes = [mode.value for mode in RoundingMode]
    if plain not in modes:
        raise FormatError(f"{where}: {plain!r} is none of {', '.join(modes)}")
    return RoundingMode(plain)


def _string(where: str, plain: object) -> str:
    if not isinstance(plain, str):
        raise FormatError(f"{where}: {plain!r} is not a string")
    return plain


def _optional_string(where: str, plain: object) -> str | None:
    return None if plain is None else _string(where, plain)


def _integer(where: str, plain: object) -> int:
    if not isinstance(plain, int) or isinstance(plain, bool):
        raise FormatError(f"{where}: {plain!r} is not an integer")
    if abs(plain) > LARGEST:
        raise FormatError(f"{where}: an integer of {plain.bit_length()} bits is too large for a graph")
    return plain


def _boolean(where: str, plain: object) -> bool:
    if not isinstance(plain, bool):
        raise FormatError(f"{where}: {plain!r} is neither true nor false")
    return plain


def _intervals(where: str, plain: object) -> tuple[Interval, ...]:
    return tuple(Interval(*_integers(where, item, 3)) for item in _list(where, plain))


def _list(where: str, plain: object, length: int | None = None) -> list[object]:
    if not isinstance(plain, list) or length not in (None, len(plain)):
        raise FormatError(f"{where}: {plain!r} is not a list" + (f" of {length}" if length else ""))
    return plain


def _integers(where: str, plain: object, length: int | None = None) -> tuple[int, ...]:
    return tuple(_integer(where, item) for item in _list(where, plain, length))


def _strings(where: str, plain: object) -> tuple[str, ...]:
    return tuple(_string(where, item) for item in _list(where, plain))


READERS: dict[Any, Callable[[str, object], Any]] = {
    str: _string,
    str | None: _optional_string,
    int: _integer,
    bool: _boolean,
    FixedPoint: _format,
    RoundingMode: _rounding,
    Pair: lambda where, plain: _integers(where, plain, 2),
    Pair | None: lambda where, plain: None if plain is None else _integers(where, plain, 2),
    tuple[Interval, ...]: _intervals,
    Shape: lambda where, plain: _integers(where, plain, 3),
    tuple[int, ...]: _integers,
    tuple[str, ...]: _strings,
}


def _check_keys(where: str, found: Collection[str], needed: Collection[str]) -> None:
    extra, missing = sorted(set(found) - set(needed)), sorted(set(needed) - set(found))
    if extra or missing:
        raise FormatError(f"{where}: unknown fields {extra}, missing fields {missing}; see the specification")


def _parsed(text: bytes) -> object:
    try:
        return json.loads(
            text.decode("ascii"), object_pairs_hook=_object, parse_float=_refuse, parse_constant=_refuse
        )
    except (ValueError, RecursionError) as error:
        raise FormatError(f"its JSON is damaged ({error}); save the graph again") from error


def _object(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    listed = list(pairs)
    found = dict(listed)
    if len(found) != len(listed):
        raise ValueError("a key appears twice")
    return found


def _refuse(number: str) -> object:
    raise ValueError(f"{number} is not an integer")
