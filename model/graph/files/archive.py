"""The integer graph as one file; docs/integer_graph.md is the format's specification.

A file is a zip archive of uncompressed members, `graph.json` and the arrays, whose comment holds the
SHA-256 of all bytes before it. So any damage is noticed before anything is parsed, and any zip tool
and NumPy can read the parts. Equal graphs give equal bytes. Nothing in a file is ever executed.
"""

import hashlib
import zipfile
from io import BytesIO
from pathlib import Path

from bitlathe.model.graph.errors import FormatError
from bitlathe.model.graph.files import compact
from bitlathe.model.graph.files.compact import decode_compact
from bitlathe.model.graph.files.document import ArrayStore, graph_from_json, json_from_graph
from bitlathe.model.graph.files.storage import read_decoded, write_whole
from bitlathe.model.graph.graph import Graph

SUFFIX = ".blg"
DOCUMENT = "graph.json"
DIGEST_PREFIX = "sha256:"
DIGEST_BYTES = len(DIGEST_PREFIX) + 64
EARLIEST = (1980, 1, 1, 0, 0, 0)  # the time of every member, so that a file depends only on its graph
PLAIN_FILE = 0o644 << 16
UNIX = 3


def write_graph(graph: Graph, path: Path) -> None:
    """Write a graph to a file, which appears whole or not at all; DataError where it cannot be written."""
    write_whole(path, encode_graph(graph))


def read_graph(path: Path) -> Graph:
    """Read a graph, compact or not; FormatError if the file is neither, DataError if it does not exist."""
    return read_decoded(path, _decode_either, SUFFIX)


def encode_graph(graph: Graph) -> bytes:
    """Bytes of a graph's file."""
    store = ArrayStore()
    document = json_from_graph(graph, store)
    archive = _archive({DOCUMENT: document, **store.members})
    return archive + _digest_of(archive).encode("ascii")


def decode_graph(data: bytes) -> Graph:
    """Graph of a file's bytes; FormatError or ShapeError if `encode_graph` did not make them."""
    _verify(data)
    members = _members(data)
    if DOCUMENT not in members:
        raise FormatError(f"no member {DOCUMENT}; the archive holds something else")
    document = members.pop(DOCUMENT)
    store = ArrayStore(members=members)
    graph = graph_from_json(document, store)
    if store.members:
        raise FormatError(f"members {sorted(store.members)} belong to no node; save the graph again")
    return graph


def _decode_either(data: bytes) -> Graph:
    return decode_compact(data) if data.startswith(compact.MAGIC) else decode_graph(data)


def graph_digest(graph: Graph) -> str:
    """The digest a graph's file ends with, `sha256:` and 64 hexadecimal digits; equal for equal graphs."""
    return encode_graph(graph)[-DIGEST_BYTES:].decode("ascii")


def _digest_of(archive: bytes) -> str:
    return DIGEST_PREFIX + hashlib.sha256(archive).hexdigest()


def _verify(data: bytes) -> None:
    archive, stored = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
    if not archive.startswith(b"PK") or not stored.startswith(DIGEST_PREFIX.encode("ascii")):
        raise FormatError(f"not a {SUFFIX} file, or only part of one; save the graph again")
    if stored != _digest_of(archive).encode("ascii"):
        raise FormatError("damaged: its bytes do not match its digest; save or copy the graph again")


def _archive(members: dict[str, bytes]) -> bytes:
    """Archive without its comment, the digest."""
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            entry = zipfile.ZipInfo(name, EARLIEST)
            entry.create_system, entry.external_attr = UNIX, PLAIN_FILE
            archive.writestr(entry, data)
        archive.comment = bytes(DIGEST_BYTES)
    return stream.getvalue()[:-DIGEST_BYTES]


def _members(data: bytes) -> dict[str, bytes]:
    """All members, kept in memory: names never become paths."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            entries = archive.infolist()
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise FormatError("a member is compressed; members are stored as they are")
            members = {entry.filename: archive.read(entry) for entry in entries}
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, RuntimeError, OverflowError) as error:
        raise FormatError(f"the archive is damaged ({error}); save the graph again") from error
    if len(members) != len(entries):
        raise FormatError("two members have one name; save the graph again")
    return members
