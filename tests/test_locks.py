import contextlib
import errno
import fcntl
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from command import QUICK, fmgrid, write
from fmgrid.data import cache
from fmgrid.errors import DataError, StoreError
from fmgrid.results.store import LOCK, Store
from fmgrid.system.locks import Lock

NO_LOCKS = ["ENOSYS", "ENOLCK", "EOPNOTSUPP", "EINVAL", "EPERM", "EIO", "EPROTO"]


def refuse_locks(monkeypatch: pytest.MonkeyPatch, error: str = "ENOLCK") -> None:
    """Let the system refuse locks, as some network and container file systems do."""

    def refuse(*_: object) -> None:
        number = getattr(errno, error)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)


@contextlib.contextmanager
def holder(path: Path) -> Iterator[int]:
    """Hold a lock in another process, of whose death the lock is not told."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            lock = Lock(path)
            if lock.acquire():
                os.write(writing, b"held")
                signal.pause()
        finally:
            os._exit(1)
    os.close(writing)
    try:
        assert os.read(reading, 4) == b"held"
        yield child
    finally:
        os.close(reading)
        kill(child)


def kill(child: int) -> None:
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.parametrize("error", [None, *NO_LOCKS])
def test_a_lock_has_one_owner_and_is_free_when_that_is_gone(
    error: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if error:
        refuse_locks(monkeypatch, error)
    path = tmp_path / "lock"
    path.touch()  # as the system's lock leaves it behind
    lock = Lock(path)
    assert not lock.is_held()
    with holder(path) as child:
        assert lock.is_held()
        assert not lock.acquire()
        assert not lock.acquire(0.1)
        kill(child)
        assert not lock.is_held()
        assert lock.acquire()
    assert Lock(path).is_held()
    assert not Lock(path).acquire()
    lock.release()
    assert not lock.is_held()
    assert [file.name for file in tmp_path.iterdir()] == ["lock"]


def test_who_gets_the_systems_lock_and_who_does_not_keep_apart(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "lock")
    with pytest.MonkeyPatch.context() as patch:
        refuse_locks(patch)
        held = holder(tmp_path / "lock")
        child = held.__enter__()
    assert not lock.acquire()
    assert str(child) in lock.owner
    assert lock.is_held()
    kill(child)
    assert lock.acquire()
    lock.release()
    held.__exit__(None, None, None)


@pytest.mark.parametrize("has_locks", [False, True])
def test_an_owner_on_another_host_is_named_with_the_file_to_remove(
    has_locks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_locks:
        refuse_locks(monkeypatch)
    monkeypatch.setattr(cache, "_WAIT_SECONDS", 0.1)
    monkeypatch.setenv("FMGRID_CACHE", str(tmp_path))
    marker = tmp_path / f"{LOCK}.owner"
    marker.write_text("123\nfaraway\n")
    with (
        pytest.raises(StoreError, match=rf"process 123 on faraway; if .* remove {marker}"),
        Store(tmp_path).locked(),
    ):
        pass
    marker = tmp_path / "fashion-mnist-sample.lock.owner"
    marker.write_text("123\nfaraway\n")
    heard: list[str] = []
    with pytest.raises(DataError, match=rf"process 123 on faraway; if .* remove {marker}"):
        cache.prepare("fashion-mnist-sample", inform=heard.append)
    assert str(marker) in heard[0]
    marker.unlink()
    cache.prepare("fashion-mnist-sample")


@pytest.mark.parametrize("name", ["lock", "lock.owner"])
@pytest.mark.parametrize("kind", ["a pipe", "a link", "a device"])
def test_a_lock_that_is_no_file_is_refused_at_once(
    name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_locks(monkeypatch)
    if kind == "a pipe":
        os.mkfifo(tmp_path / name)
    else:
        (tmp_path / name).symlink_to("/dev/zero" if kind == "a device" else "nowhere")
    with pytest.raises(OSError, match="not a regular file; remove it"):
        Lock(tmp_path / "lock").acquire()
    assert not Lock(tmp_path / "lock").is_held()


@pytest.mark.usefixtures("elsewhere")
def test_commands_work_where_the_file_system_offers_no_locks(tmp_path: Path) -> None:
    # Python imports a module of this name as it starts.
    Path("no_locks").mkdir()
    Path("no_locks/sitecustomize.py").write_text(
        "import fcntl, errno\n"
        "def flock(*_):\n    raise OSError(errno.ENOSYS, 'Function not implemented')\n"
        "fcntl.flock = flock\n"
    )
    surroundings = {"PYTHONPATH": "no_locks", "FMGRID_CACHE": str(tmp_path / "cache")}
    Path("cache").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        refuse_locks(patch)
        with holder(Path("cache/fashion-mnist-sample.lock")) as child:
            kill(child)
    assert list(Path("cache").glob("*.owner"))
    done = fmgrid("data", "fashion-mnist-sample", **surroundings)
    assert done.returncode == 0, done.stderr
    assert "arning" not in done.stderr
    assert not list(Path("cache").glob("*.owner"))
    with pytest.MonkeyPatch.context() as patch:
        refuse_locks(patch)
        with Store(Path("modellogs")).locked():
            done = fmgrid("run", write(QUICK), **surroundings)
    assert done.returncode == 3
    assert "another fmgrid run is writing here" in done.stderr
