import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fmgrid.system import disk
from fmgrid.system.disk import (
    move_folder,
    open_regular,
    read_end,
    read_regular,
    sync_folder,
    write_whole,
)

NOT_OFFERED = ["EINVAL", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"]


def refusing(error: str) -> Callable[..., None]:
    def refuse(*_: object) -> None:
        number = getattr(errno, error)
        raise OSError(number, os.strerror(number))

    return refuse


# What is read


@pytest.mark.parametrize(
    "make",
    [
        os.mkfifo,
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to("/dev/tty"),
        lambda path: (os.mkfifo(path.with_name("pipe")), path.symlink_to("pipe")),
        Path.mkdir,
        lambda path: path.symlink_to(path.parent),
    ],
    ids=["a pipe", "a device", "a terminal", "a link to a pipe", "a folder", "a link to a folder"],
)
def test_what_is_no_regular_file_is_refused_at_once(
    make: Callable[[Path], object], tmp_path: Path
) -> None:
    make(tmp_path / "it")
    for read in (lambda path: read_regular(path, 100), open_regular):
        with pytest.raises(OSError, match=r"not a regular file|Is a directory"):
            read(tmp_path / "it")


def test_a_pipe_that_takes_a_files_place_in_between_does_not_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "it"
    path.touch()
    check = disk._check_regular

    def replaced(*args: object) -> None:
        check(*args)  # type: ignore[arg-type]
        if path.is_file():
            path.unlink()
            os.mkfifo(path)

    monkeypatch.setattr(disk, "_check_regular", replaced)
    with pytest.raises(OSError, match="not a regular file"):
        read_regular(path, 100)


def test_a_file_is_read_up_to_its_limit_and_no_further(tmp_path: Path) -> None:
    path = tmp_path / "it"
    path.write_bytes(b"x" * 100)
    (tmp_path / "link").symlink_to(path)
    assert read_regular(path, 100) == read_regular(tmp_path / "link", 100) == b"x" * 100
    with pytest.raises(OSError, match="larger than 99 bytes"):
        read_regular(path, 99)
    os.truncate(path, 10**12)  # takes no room
    with pytest.raises(OSError, match="larger than 100 bytes"):
        read_regular(path, 100)


def test_a_file_that_says_nothing_of_its_size_is_bounded_too() -> None:
    with pytest.raises(OSError, match="larger than 10 bytes"):
        read_regular(Path("/proc/self/status"), 10)


def test_the_end_of_a_log_is_read_without_the_rest_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run.log")
    assert read_end(tmp_path / "run.log", 100) == b""
    log = tmp_path / "large.log"
    log.touch()
    os.truncate(log, 10**12)
    with log.open("ab") as stream:
        stream.write(b"\nthe end\n")
    assert read_end(log, 9) == b"\nthe end\n"


# What is flushed


@pytest.mark.parametrize("error", NOT_OFFERED)
def test_a_flush_that_the_file_system_does_not_offer_is_no_error(
    error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", refusing(error))
    sync_folder(tmp_path)
    write_whole(tmp_path / "table.csv", b"new")
    assert (tmp_path / "table.csv").read_bytes() == b"new"


@pytest.mark.parametrize("error", ["EBADF", "EISDIR", "EACCES", "EPERM"])
def test_a_flush_that_is_offered_for_files_alone_is_no_error(
    error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", refusing(error))
    sync_folder(tmp_path)


@pytest.mark.parametrize("error", ["EIO", "ENOSPC", "EDQUOT"])
def test_a_flush_that_fails_is_an_error(
    error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", refusing(error))
    with pytest.raises(OSError, match=os.strerror(getattr(errno, error))):
        sync_folder(tmp_path)


def test_a_file_that_cannot_be_written_is_named_as_the_caller_names_it(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "table.csv"
    with pytest.raises(FileNotFoundError) as caught:
        write_whole(path, b"")
    assert caught.value.filename == str(path)


@pytest.mark.parametrize("error", ["EACCES", "EPERM", "EBADF", "EISDIR", *NOT_OFFERED])
def test_a_folder_that_cannot_be_opened_is_written_to_all_the_same(
    error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "open", refusing(error))
    write_whole(tmp_path / "table.csv", b"new")
    assert (tmp_path / "table.csv").read_bytes() == b"new"


# What is moved


def make_folder(path: Path) -> None:
    (path / "deep" / "deeper").mkdir(parents=True)
    (path / "deep" / "deeper" / "a").write_text("a")
    (path / "b").write_text("b")
    (path / "b").chmod(0o400)
    (path / "deep").chmod(0o700)
    (path / "last").write_text("last")
    (path / "link").symlink_to("b")
    (path / "to_nowhere").symlink_to("nowhere")
    (path / "to_folder").symlink_to("deep")
    os.mkfifo(path / "pipe")


def shape(folder: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        told: object = path.lstat().st_mode
        if path.is_symlink():
            told = str(path.readlink())
        elif path.is_file():
            told = (path.read_text(), path.stat().st_mode, path.stat().st_mtime_ns)
        found[str(path.relative_to(folder))] = told
    return found


def forbid_renaming(
    monkeypatch: pytest.MonkeyPatch, is_forbidden: Callable[[Path, Path], bool]
) -> None:
    """Let the system refuse some renames as overlayfs and other file systems do."""
    for name in ("rename", "replace"):
        original = getattr(os, name)

        def refuse(source: Path, target: Path, original: Callable[..., None] = original) -> None:
            if is_forbidden(Path(source), Path(target)):
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(source))
            original(source, target)

        monkeypatch.setattr(os, name, refuse)


def test_a_folder_that_cannot_be_renamed_is_moved_file_by_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    make_folder(source)
    before = shape(source)
    forbid_renaming(monkeypatch, lambda path, _: path.is_dir() and not path.is_symlink())
    move_folder(source, target)
    assert shape(target) == before
    assert not source.exists()


def test_a_folder_none_of_whose_files_can_be_renamed_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    make_folder(source)
    (source / "pipe").unlink()
    before = shape(source)
    forbid_renaming(monkeypatch, lambda path, goal: path.parent != goal.parent)
    move_folder(source, target)
    assert shape(target) == before
    assert not source.exists()
