"""The integer graph in as few bytes as its values need: the file that measures a compressed network.

A file is `BLGC`, a version byte, the deflated JSON of `document.py` with its length, each array by
`array_coding.py` in the order in which the JSON names them, and the SHA-256 of all of that. Equal graphs give
equal bytes, and what is read back is the same graph, integer for integer.
"""

import hashlib
import struct
import zlib
from pathlib import Path

from bitlathe.model.graph.errors import FormatError
from bitlathe.model.graph.files.array_coding import decode_array, encode_array
from bitlathe.model.graph.files.document import ArrayStore, graph_from_json, json_from_graph
from bitlathe.model.graph.files.npy import array_from_npy, npy_from_array
from bitlathe.model.graph.files.storage import read_decoded, write_whole
from bitlathe.model.graph.graph import Graph

SUFFIX = ".blgc"
MAGIC = b"BLGC\x01"
_LENGTH = struct.Struct("<I")
_DIGEST_BYTES = 32
_LARGEST_TEXT = 1 << 26  # limit of the inflated JSON, so that a small file cannot fill the memory


def encode_compact(graph: Graph) -> bytes:
    """Bytes of a graph's compact file."""
    store = ArrayStore()
    text = json_from_graph(graph, store)
    names = "\n".join(store.members).encode("ascii")
    document = zlib.compress(names + b"\0" + text, 9)
    content = b"".join((MAGIC, _LENGTH.pack(len(document)), document, *_coded(store).values()))
    return content + hashlib.sha256(content).digest()


def encoded_arrays(graph: Graph) -> dict[str, bytes]:
    """The coded bytes of each array as they stand in the compact file, by the array's name."""
    store = ArrayStore()
    json_from_graph(graph, store)
    return _coded(store)


def decode_compact(data: bytes) -> Graph:
    """Graph of a compact file's bytes; FormatError or ShapeError if `encode_compact` did not make them."""
    content, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if not content.startswith(MAGIC):
        raise FormatError(f"not a {SUFFIX} file of this version; compress the network again")
    if hashlib.sha256(content).digest() != digest:
        raise FormatError("damaged: its bytes do not match its digest; copy or compress the network again")
    text, names, rest = _document(content[len(MAGIC) :])
    store = ArrayStore()
    for name in names:
        array, rest = decode_array(rest, name)
        store.members[name] = npy_from_array(array)
    graph = graph_from_json(text, store)
    if rest or store.members:
        raise FormatError(f"{len(rest)} bytes and arrays {sorted(store.members)} belong to no node")
    return graph


def save_compact(graph: Graph, path: Path) -> int:
    """Write a graph's compact file, whole or not at all, and return its size in bytes."""
    data = encode_compact(graph)
    write_whole(path, data)
    return len(data)


def load_compact(path: Path) -> Graph:
    """Read a compact file; FormatError if it is damaged or no such file, DataError if it does not exist."""
    return read_decoded(path, decode_compact, SUFFIX)


def _coded(store: ArrayStore) -> dict[str, bytes]:
    return {name: encode_array(array_from_npy(data, name)) for name, data in store.members.items()}


def _document(data: bytes) -> tuple[bytes, list[str], bytes]:
    """JSON, names of the arrays, and the bytes that follow."""
    try:
        (length,) = _LENGTH.unpack_from(data)
        document, rest = data[_LENGTH.size :][:length], data[_LENGTH.size + length :]
        inflated = zlib.decompressobj().decompress(document, _LARGEST_TEXT)
        names, text = inflated.split(b"\0", 1)
        return text, names.decode("ascii").splitlines(), rest
    except (struct.error, zlib.error, ValueError) as error:
        raise FormatError(f"its document is damaged ({error}); compress the network again") from error
