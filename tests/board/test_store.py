"""What an agent keeps: nothing in use is removed, nothing is lost, and the count of bytes is right."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_bundle import FILES, small_manifest

from bitlathe.board.errors import AgentError, BoardError, BundleError, StoreFull
from bitlathe.board.manifest import Manifest
from bitlathe.board.store import FileStore

KIB = 1 << 10


def content(number: int, size: int = 400) -> bytes:
    """Content of a file, another one for each number."""
    return number.to_bytes(4, "little") * (size // 4)


def name_of(data: bytes) -> str:
    """Name under which a store keeps a file."""
    return sha256(data).hexdigest()


def put(store: FileStore, data: bytes) -> None:
    """Send a file."""
    store.put(name_of(data), BytesIO(data), len(data))


def kept(store: FileStore) -> set[str]:
    """Names of the files in a store's folder, half ones too."""
    return {path.name for path in store._files.iterdir()}


def bytes_in(store: FileStore) -> int:
    """Bytes of the files in a store's folder."""
    return sum(path.stat().st_size for path in store._files.iterdir())


class Paused:
    """A sender that waits in mid-file until it may go on."""

    def __init__(self, data: bytes, first: int) -> None:
        self._stream = BytesIO(data)
        self._first = first
        self.waits = threading.Event()
        self.may_go_on = threading.Event()

    def read(self, size: int, /) -> bytes:
        """The first bytes, the others when they may come."""
        if self._first:
            size, self._first = min(size, self._first), 0
            return self._stream.read(size)
        self.waits.set()
        assert self.may_go_on.wait(20)
        return self._stream.read(size)


@contextmanager
def half_sent(store: FileStore, data: bytes, first: int) -> Iterator[Callable[[], None]]:
    """An upload that has stopped in mid-file; the value lets it go on, and raises what it raised."""
    sender = Paused(data, first)
    with ThreadPoolExecutor(1) as threads:
        upload = threads.submit(store.put, name_of(data), sender, len(data))
        assert sender.waits.wait(20)

        def finish() -> None:
            sender.may_go_on.set()
            upload.result(20)

        try:
            yield finish
        finally:
            sender.may_go_on.set()


def test_an_upload_that_only_announces_removes_nothing(tmp_path: Path) -> None:
    store = FileStore(tmp_path, 1000)
    put(store, content(1))
    with half_sent(store, content(2, 1000), 4):
        assert name_of(content(1)) in kept(store)
        put(store, content(3))
        assert {name_of(content(1)), name_of(content(3))} < kept(store)


def test_uploads_at_once_do_not_remove_each_others_parts(tmp_path: Path) -> None:
    store = FileStore(tmp_path, 1000)
    with (
        half_sent(store, content(1), 200) as finish_first,
        half_sent(store, content(2), 200) as finish_second,
    ):
        put(store, content(3, 600))
        finish_second()
        finish_first()
    assert {name_of(content(1)), name_of(content(2))} == kept(store)


def test_twelve_uploads_at_once_all_end_where_two_have_room(tmp_path: Path) -> None:
    store = FileStore(tmp_path, 8 * KIB)
    files = [content(number, 3 * KIB) for number in range(12)]
    begin = threading.Barrier(12)

    def send(data: bytes) -> None:
        begin.wait(20)
        store.put(name_of(data), InPieces(data, 100), len(data))

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(send, files))
    assert len(kept(store)) == 2 and kept(store) < {name_of(data) for data in files}
    assert store._uploads == []


class InPieces:
    """A sender of few bytes at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        self._stream = BytesIO(data)
        self._size = size

    def read(self, size: int, /) -> bytes:
        """The next bytes."""
        return self._stream.read(min(size, self._size))


def test_an_upload_waits_for_one_that_is_nearly_done(tmp_path: Path) -> None:
    store = FileStore(tmp_path, 1000)
    with half_sent(store, content(1, 800), 600) as finish, ThreadPoolExecutor(1) as threads:
        second = threads.submit(put, store, content(2, 800))
        finish()
        second.result(20)
    assert kept(store) == {name_of(content(2, 800))}


def test_an_upload_that_waits_too_long_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    store = FileStore(tmp_path, 1000, patience_seconds=0.05)
    with half_sent(store, content(1, 800), 600) as finish:
        with pytest.raises(AgentError, match=r"leaves no room for it now; send it again later"):
            put(store, content(2, 800))
        assert bytes_in(store) == 600
        finish()
    assert kept(store) == {name_of(content(1, 800))}


def manifest_of(*files: bytes) -> Manifest:
    """A manifest of some files."""
    return small_manifest({**FILES, **{f"file{number}": data for number, data in enumerate(files)}})


def test_files_of_a_job_stay_until_it_ends(tmp_path: Path) -> None:
    store = FileStore(tmp_path, 2000, patience_seconds=0.05)
    manifest = manifest_of(content(1))
    for data in (*FILES.values(), content(1)):
        put(store, data)
    assert store.hold(manifest) == []
    put(store, content(2, 800))
    with store.folder(manifest) as folder:
        put(store, content(3, 800))
        with pytest.raises(AgentError, match="what jobs need and others send"):
            put(store, content(4, 1600))
        assert (folder / "file0").read_bytes() == content(1)
    assert name_of(content(1)) in kept(store)
    store.let_go(manifest)
    put(store, content(4, 1600))
    assert name_of(content(1)) not in kept(store)


def test_an_upload_goes_on_when_a_job_ends(tmp_path: Path) -> None:
    store = FileStore(tmp_path, 2000)
    manifest = manifest_of(content(1, 1000))
    for data in (*FILES.values(), content(1, 1000)):
        put(store, data)
    store.hold(manifest)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(put, store, content(2, 1600))
        store.let_go(manifest)
        waiting.result(20)
    assert name_of(content(2, 1600)) in kept(store)


def test_what_is_not_there_is_not_held(tmp_path: Path) -> None:
    store = FileStore(tmp_path, 2000)
    manifest = manifest_of(content(1))
    put(store, content(1))
    assert store.hold(manifest) == sorted(name_of(data) for data in FILES.values()) == store.missing(manifest)
    put(store, content(2, 1900))
    assert name_of(content(1)) not in kept(store)


def test_what_a_job_lacks_does_not_take_the_room_of_what_it_has(tmp_path: Path) -> None:
    store = FileStore(tmp_path, 1300)
    manifest = manifest_of(content(1), content(2))
    for data in (content(1), content(3), content(4)):
        put(store, data)
    lacking = store.hold(manifest)
    assert sorted(lacking) == sorted(name_of(data) for data in (*FILES.values(), content(2)))
    for data in (*FILES.values(), content(2)):
        put(store, data)
    assert store.hold(manifest) == []
    assert name_of(content(3)) not in kept(store)


def test_a_file_sent_again_is_the_last_used(tmp_path: Path) -> None:
    store = FileStore(tmp_path, 1300)
    for number in (1, 2, 1, 3, 4):
        put(store, content(number))
    assert kept(store) == {name_of(content(number)) for number in (1, 3, 4)}


def test_a_file_sent_again_keeps_its_inode_while_a_job_has_it(tmp_path: Path) -> None:
    store = FileStore(tmp_path, 1000)
    put(store, content(1))
    inode = (store._files / name_of(content(1))).stat().st_ino
    put(store, content(1))
    assert (store._files / name_of(content(1))).stat().st_ino == inode
    assert len(kept(store)) == 1


def test_a_file_that_somebody_removed_is_missing(tmp_path: Path) -> None:
    store = FileStore(tmp_path, 1000)
    put(store, content(1))
    (store._files / name_of(content(1))).unlink()
    assert name_of(content(1)) in store.missing(manifest_of(content(1)))
    put(store, content(1))
    assert kept(store) == {name_of(content(1))}


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_full_disk_is_named_and_leaves_nothing(
    error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileStore(tmp_path, 1000)

    def full(handle: int, chunk: bytes) -> None:
        os.write(handle, chunk[:1])
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as patched, pytest.raises(StoreFull, match=os.strerror(error)):
        patched.setattr("bitlathe.board.store._write", full)
        put(store, content(1))
    assert kept(store) == set()
    for number in range(4):
        put(store, content(number))
    assert len(kept(store)) == 2


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    store = FileStore(tmp_path, 1000)
    store._files.rmdir()
    with pytest.raises(StoreFull, match=r"files: cannot be written \(No such file"):
        put(store, content(1))


class Broken:
    """A sender whose connection ends."""

    def __init__(self, data: bytes, error: BaseException) -> None:
        self._data = data
        self._error = error

    def read(self, size: int, /) -> bytes:
        """The first bytes, then the error."""
        data, self._data = self._data[:size], self._data[size:]
        if not data:
            raise self._error
        return data


@pytest.mark.parametrize("error", [ConnectionResetError(), TimeoutError(), ValueError(), KeyboardInterrupt()])
def test_a_sender_that_breaks_off_leaves_nothing(error: BaseException, tmp_path: Path) -> None:
    store = FileStore(tmp_path, 1000)
    for number in range(5):
        with pytest.raises(type(error)):
            store.put(name_of(content(number)), Broken(content(number, 300), error), 400)
    assert (kept(store), store._uploads) == (set(), [])
    put(store, content(1, 1000))


def test_an_agent_that_starts_again_knows_what_it_has_and_clears_halves(tmp_path: Path) -> None:
    store = FileStore(tmp_path, 2000)
    for number in range(4):
        put(store, content(number))
        os.utime(store._files / name_of(content(number)), (number, number))
    (store._files / ".part-half").write_bytes(bytes(1500))
    (store._files / "readme").write_text("somebody's own")
    again = FileStore(tmp_path, 1000)
    assert kept(again) == {name_of(content(2)), name_of(content(3)), "readme"}
    put(again, content(5))
    assert kept(again) == {name_of(content(3)), name_of(content(5)), "readme"}


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 5), st.integers(0, 1200), st.sampled_from(["whole", "cut", "other", "longer"])
        ),
        max_size=12,
    )
)
def test_whatever_is_sent_the_count_of_bytes_is_the_folders(
    tmp_path_factory: pytest.TempPathFactory, sent: list[tuple[int, int, str]]
) -> None:
    store = FileStore(tmp_path_factory.mktemp("store"), 1000, patience_seconds=0)
    for number, size, how in sent:
        data = content(number, size)
        received = {"whole": data, "cut": data[:-1], "other": data[::-1] + b"x", "longer": data + b"x"}[how]
        try:
            store.put(name_of(data), BytesIO(received), len(data))
        except BoardError as error:
            assert isinstance(error, BundleError | AgentError)
        else:
            assert name_of(data) in kept(store)
        assert sum(store._kept.values()) == bytes_in(store) <= 1000
        assert set(store._kept) == kept(store)
