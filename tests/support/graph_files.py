"""Files of integer graphs taken apart and put together again, damaged as a test likes."""

import hashlib
import io
import zipfile

from bitlathe.model.graph.files.archive import DIGEST_BYTES


def sealed(archive: bytes) -> bytes:
    """Archive that ends with its digest, as a file must, whatever it holds."""
    return archive + f"sha256:{hashlib.sha256(archive).hexdigest()}".encode()


def members_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def file_of(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Sealed archive of members, names and all as given."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        archive.comment = bytes(DIGEST_BYTES)
    return sealed(stream.getvalue()[:-DIGEST_BYTES])
