import contextlib
import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta, timezone
from itertools import count
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fmgrid.errors import DamagedFileError, StoreError
from fmgrid.experiment import EpochRecord, Experiment, Failure, Run
from fmgrid.results import store as store_module
from fmgrid.results.results_file import read_results, to_results
from fmgrid.results.store import Store, find_folders
from fmgrid.system.disk import write_whole
from made_up_runs import make_run

CONTENT = to_results(make_run())
BODY = CONTENT.split(b"\n", 2)[2]

# Everything that Unicode has, and often what TOML treats in a way of its own
texts = st.text(
    st.sampled_from("\"'\\\n\r\t\0\x1b\x7f\x85\u2028 #=[]{}uU0é😀") | st.characters(codec="utf-8"),
    max_size=200,
)
numbers = st.floats() | st.sampled_from([0.0, -0.0, 5e-324, 1e16, 1e22, 1.0])
whole = st.integers(-(2**63), 2**63 - 1)
counted = st.integers(0, 2**63 - 1)
losses = st.floats(width=32) | st.sampled_from([0.0, -0.0, 5e-324, 1e16, 1e22, 1.0])
seconds = st.floats(0, 1e10) | st.sampled_from([0.0, -0.0, 5e-324])
zones = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))])
arguments = st.dictionaries(
    texts,
    st.recursive(
        st.booleans() | whole | numbers | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=4,
    ),
    max_size=3,
)
measured = {
    "train_loss": losses,
    "valid_loss": losses,
    "accuracy": st.floats(0, 1),
    "learning_rate": numbers,
    "images_seen": counted,
    "seconds": seconds,
}
histories = st.integers(0, 3).flatmap(
    lambda length: st.tuples(
        *(st.builds(EpochRecord, epoch=st.just(n), **measured) for n in range(1, length + 1))
    )
)
settings_of_all = {
    "name": texts,
    "hidden_units": st.lists(st.integers(1, 99), max_size=3).map(tuple),
    "optimizer": texts,
    "optimizer_args": arguments,
}
in_steps = st.builds(
    Experiment, train_steps=st.just("full") | st.integers(1, 99), **settings_of_all
)
in_images = st.builds(Experiment, train_images=st.integers(64, 9999), **settings_of_all)
outcomes: dict[str, Any] = {
    "weights": st.none() | counted,
    "started": st.datetimes(timezones=zones).map(lambda moment: moment.replace(fold=0)),
    "seconds": seconds,
    "software": st.dictionaries(texts, texts | counted, max_size=3),
    "failure": st.none() | st.builds(Failure, message=texts, traceback=texts),
    "trained_as": st.none() | texts,
}
scores = st.none() | st.tuples(losses, st.floats(0, 1))  # of the test images
runs = st.tuples(histories, scores).flatmap(
    lambda drawn: st.builds(
        Run,
        experiment=in_steps | in_images,
        status=st.sampled_from([*["complete"][: len(drawn[0])], "failed", "timeout"]),
        history=st.just(drawn[0]),
        test_loss=st.just(drawn[1] and drawn[1][0]),
        test_accuracy=st.just(drawn[1] and drawn[1][1]),
        **outcomes,
    )
)


class KilledError(BaseException):
    """What a kill looks like from inside, where it can be looked at at all."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "modellogs")


def save(store: Store, run: Run) -> Path:
    store.begin(run.experiment.run_name)
    store.save(run)
    return store.folder(run.experiment.run_name)


def read_bytes(content: bytes, folder: Path) -> Run:
    path = folder / "mlp_results.toml"
    path.write_bytes(content)
    return read_results(path)


def spelled_out(run: Run) -> str:
    """Return a text that tells -0.0 from 0.0 and 1 from 1.0, unlike ==, and that nan equals."""
    return json.dumps(run.model_dump(), sort_keys=True, default=repr)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*")}


def signed(body: str | bytes) -> bytes:
    """Return a results file of any content, whose digest is right."""
    body = body if isinstance(body, bytes) else body.encode()
    header = CONTENT.partition(b"digest")[0]
    return header + f'digest = "sha256:{hashlib.sha256(body).hexdigest()}"\n'.encode() + body


@settings(max_examples=150)
@given(run=runs)
def test_what_is_read_is_what_was_written_to_the_bit(
    run: Run, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = to_results(run)
    again = read_bytes(content, tmp_path_factory.getbasetemp())
    assert spelled_out(again) == spelled_out(run)
    assert to_results(run) == content


def test_equal_runs_give_equal_bytes(store: Store) -> None:
    first = contents(save(store, make_run()))
    assert contents(save(store, make_run())) == first


def test_a_finished_run_is_found_by_its_name(store: Store) -> None:
    assert store.read("mlp") is None
    save(store, make_run())
    assert store.read("mlp") == make_run()


def test_a_run_leaves_one_event_file_a_log_and_its_results(store: Store) -> None:
    folder = save(store, make_run())
    events, results, log = sorted(path.name for path in folder.iterdir())
    assert events == "events.out.tfevents.1767268800.fmgrid"  # as TensorBoard looks for
    assert (results, log) == ("mlp_results.toml", "run.log")


def test_the_results_say_what_a_person_wants_to_know() -> None:
    content = CONTENT.decode()
    for line in ('run = "mlp"', 'status = "complete"', "epochs = 3", "hidden_units = [256, 256]"):
        assert line in content
    assert "accuracy = 0.53" in content
    assert 'optimizer = "Adam"' in content  # defaults too: they may be others one day


def test_a_flipped_bit_anywhere_is_noticed(tmp_path: Path) -> None:
    for place in range(len(CONTENT)):
        damaged = bytearray(CONTENT)
        damaged[place] ^= 1 << place % 8
        with pytest.raises(DamagedFileError, match=r"mlp_results\.toml: "):
            read_bytes(bytes(damaged), tmp_path)


def test_a_file_cut_off_anywhere_is_noticed(tmp_path: Path) -> None:
    for length in range(len(CONTENT)):
        with pytest.raises(DamagedFileError, match=r"mlp_results\.toml: "):
            read_bytes(CONTENT[:length], tmp_path)


@pytest.mark.parametrize("more", [b"\n", b"#", b"x = 1\n", b"\0", CONTENT])
def test_anything_appended_is_noticed(more: bytes, tmp_path: Path) -> None:
    with pytest.raises(DamagedFileError, match="digest does not match"):
        read_bytes(CONTENT + more, tmp_path)


WINDOWS = CONTENT.replace(b"\n", b"\r\n")  # as git leaves it there


def test_line_ends_that_git_has_changed_are_no_damage(tmp_path: Path) -> None:
    assert read_bytes(WINDOWS, tmp_path) == make_run()


def test_a_flipped_bit_is_noticed_with_windows_line_ends_too(tmp_path: Path) -> None:
    ends = [place for place, byte in enumerate(WINDOWS) if byte in b"\r\n"]
    for place in sorted({*ends, *range(0, len(WINDOWS), 11)}):
        damaged = bytearray(WINDOWS)
        damaged[place] ^= 1 << place % 8
        with pytest.raises(DamagedFileError, match=r"mlp_results\.toml: "):
            read_bytes(bytes(damaged), tmp_path)


def test_line_ends_of_two_kinds_are_noticed(tmp_path: Path) -> None:
    for lines in (1, 5, CONTENT.count(b"\n") - 1):
        with pytest.raises(DamagedFileError, match=r"damaged|no digest"):
            read_bytes(CONTENT.replace(b"\n", b"\r\n", lines), tmp_path)
        with pytest.raises(DamagedFileError, match=r"damaged|no digest"):
            read_bytes(WINDOWS.replace(b"\r\n", b"\n", lines), tmp_path)


def test_a_traceback_with_windows_line_ends_comes_back_and_survives_git(tmp_path: Path) -> None:
    run = make_run(status="failed", failure=Failure(message="x", traceback="a\r\nb\rc\n\\\r\n"))
    content = to_results(run)
    assert b"\r" not in content
    assert read_bytes(content, tmp_path) == run
    assert read_bytes(content.replace(b"\n", b"\r\n"), tmp_path) == run


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_arbitrary_bytes_are_never_a_run(tmp_path: Path, noise: bytes) -> None:
    for content in (noise, signed(noise)):
        with pytest.raises(DamagedFileError):
            read_bytes(content, tmp_path)


def nested(opening: str, closing: str) -> str:
    return "x = " + opening * 50_000 + closing * 50_000


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"x = '\xff'", "not valid TOML"),
        ("x = = 1", "not valid TOML"),
        (nested("[", "]"), "not valid TOML"),
        (nested("{a=", "}"), "not valid TOML"),
        ("a." * 50_000 + "a = 1", "a key has over 20 parts"),
        ("", "format None"),
        ("format = 1", "does not fit this fmgrid"),
        ("format = 1\nexperiment = 1", "does not fit this fmgrid"),
        ("format = 1\nmetrics = []\nexperiment = {fingerprint = ''}", "does not fit this fmgrid"),
        (BODY.replace(b"epochs", b"epoch"), "does not fit this fmgrid"),
    ],
    ids=[
        "no UTF-8",
        "no TOML",
        "50,000 nested lists",
        "50,000 nested tables",
        "a key of 50,000 parts",
        "nothing at all",
        "nothing but a format",
        "an experiment that is a number",
        "metrics that are a list",
        "a word that is not ours",
    ],
)
def test_what_was_signed_but_is_no_run_is_refused(
    body: str | bytes, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(DamagedFileError, match=reason):
        read_bytes(signed(body), tmp_path)


def test_a_newer_format_is_refused_with_what_to_do(tmp_path: Path) -> None:
    newer = signed(BODY.replace(b"format = 1", b"format = 2")).replace(
        b"# Written", b"# Signed and written"
    )
    with pytest.raises(DamagedFileError, match=r"format 2, .* reads 1; read it with the version"):
        read_bytes(newer, tmp_path)


@pytest.mark.parametrize(
    "make",
    [
        Path.mkdir,
        os.mkfifo,
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to(path),
    ],
    ids=["a folder", "a named pipe", "a link to a device", "a link to itself"],
)
def test_a_results_file_that_is_no_file_is_damage(
    make: Callable[[Path], None], store: Store
) -> None:
    store.begin("mlp")
    make(store.results_file("mlp"))
    with pytest.raises(DamagedFileError, match="not a regular file"):
        read_results(store.results_file("mlp"))


def test_a_results_file_of_a_terabyte_is_damage(store: Store) -> None:
    save(store, make_run())
    os.truncate(store.results_file("mlp"), 10**12)
    with pytest.raises(DamagedFileError, match="cannot be read: larger than 200,000,000 bytes"):
        store.read("mlp")


@pytest.mark.parametrize("dots", [5, 25, 500])
def test_a_name_and_a_message_with_many_dots_are_no_long_key(dots: int, tmp_path: Path) -> None:
    text = "1." * dots + "1"
    failure = Failure(message=text, traceback=f'{text}\n{text}\n\'{text}\'\n""{text}""\n')
    run = make_run(Experiment(name=text[:199]), status="failed", failure=failure)
    assert read_bytes(to_results(run), tmp_path) == run


def kill_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process "die" at the *step*-th call that changes what a disk holds.

    Whatever it would do afterwards to tidy up doesn't happen either.
    """
    calls = count(1)

    def dying(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if next(calls) >= step:
                raise KilledError
            return original(*args, **kwargs)

        return call

    monkeypatch.setattr(os, "fsync", dying(os.fsync))
    for name in ("mkdir", "open", "replace", "touch", "unlink"):
        monkeypatch.setattr(Path, name, dying(getattr(Path, name)))


def test_a_kill_between_any_two_steps_leaves_no_half_file(tmp_path: Path) -> None:
    whole = contents(save(Store(tmp_path / "undisturbed"), make_run()))
    for step in count(1):
        store = Store(tmp_path / str(step))
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(KilledError):
            kill_at(step, patch)
            save(store, make_run())
            break
        left = contents(store.folder("mlp"))
        named = {name for name in left if not name.startswith(".unfinished-")}
        assert all(left[name] == whole[name] for name in named)
        assert store.read("mlp") == (make_run() if "mlp_results.toml" in named else None)
        assert contents(save(store, make_run())) == whole
    assert step > 10


def test_a_kill_while_a_failed_run_is_run_again_leaves_the_old_result_or_the_new(
    tmp_path: Path,
) -> None:
    failed = make_run(status="failed")
    for step in count(1):
        store = Store(tmp_path / str(step))
        save(store, failed)
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(KilledError):
            kill_at(step, patch)
            save(store, make_run())
            break
        assert store.read("mlp") in (failed, make_run())


def test_the_results_are_written_last(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []

    def note(path: Path, content: bytes) -> None:
        written.append(path.name)
        write_whole(path, content)

    monkeypatch.setattr(store_module, "write_whole", note)
    save(store, make_run())
    assert written[-1] == "mlp_results.toml"
    assert len(written) == 2


def test_a_write_that_fails_takes_its_half_file_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "table.csv").write_text("old")
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "table.csv", b"new")
    assert contents(tmp_path) == {"table.csv": b"old"}


def test_a_full_disk_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    store.begin("mlp")
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StoreError, match="modellogs/mlp: No space left on device"):
        store.save(make_run())
    assert store.read("mlp") is None


def test_what_an_unfinished_run_left_is_cleared_and_nothing_else(store: Store) -> None:
    folder = store.folder("mlp")
    folder.mkdir(parents=True)
    ours = ["run.log", "events.out.tfevents.1.fmgrid", ".unfinished-mlp_results.toml"]
    theirs = ["notes.txt", "run.log.bak", "model.pt", "other_results.toml", ".git", "events.csv"]
    theirs += ["events.out.tfevents.1700000000.host.1.0"]
    for name in ours + theirs:
        (folder / name).write_text("something")
    store.begin("mlp")
    assert contents(folder) == dict.fromkeys(theirs, b"something") | {"run.log": b""}


@pytest.mark.parametrize("target", ["elsewhere", "nowhere"])
def test_a_run_folder_that_is_a_link_is_refused(target: str, store: Store, tmp_path: Path) -> None:
    events = tmp_path / "elsewhere" / "events.out.tfevents.1"
    events.parent.mkdir()
    events.touch()
    store.root.mkdir()
    store.folder("mlp").symlink_to(tmp_path / target)
    for work in (store.begin, store.set_aside):
        with pytest.raises(StoreError, match="modellogs/mlp: is a link; remove it"):
            work("mlp")
    assert events.exists()
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_in_place_of_the_log_is_named(store: Store) -> None:
    store.log_file("mlp").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"run\.log: "):
        store.begin("mlp")


def test_the_log_of_a_run_is_stored_with_it_and_read_again(store: Store) -> None:
    store.begin("mlp")
    store.save(make_run(), b"trained")
    assert store.read_log("mlp") == store.log_file("mlp").read_bytes() == b"trained"
    assert store.read("mlp") == make_run()


def test_a_log_that_is_a_link_is_not_read(store: Store, tmp_path: Path) -> None:
    save(store, make_run())
    (tmp_path / "secret").write_text("secret")
    store.log_file("mlp").unlink()
    store.log_file("mlp").symlink_to(tmp_path / "secret")
    assert store.read_log("mlp") == b""


def test_a_log_of_a_terabyte_is_not_read(store: Store) -> None:
    save(store, make_run())
    os.truncate(store.log_file("mlp"), 10**12)
    assert store.read_log("mlp") == b""


@pytest.mark.parametrize("total", [None, 0], ids=["no answer", "a disk of no size"])
def test_a_file_system_that_does_not_tell_its_room_is_tried(
    total: int | None, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def usage(_: Path) -> Any:
        if total is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        return SimpleNamespace(total=total, used=0, free=0)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    store.root.mkdir()
    store.check_room(10, 100)


def test_a_look_whether_the_folder_is_locked_is_in_nobodys_way(store: Store) -> None:
    store.root.mkdir()
    with ThreadPoolExecutor(1) as pool:
        stop = Event()
        looking = pool.submit(lambda: [store.is_locked() for _ in iter(stop.is_set, True)])
        for _ in range(20):
            with store.locked():
                pass
        stop.set()
        assert looking.result()


def test_a_log_that_somebody_deleted_is_empty(store: Store) -> None:
    save(store, make_run())
    store.log_file("mlp").unlink()
    assert store.read_log("mlp") == b""


def test_runs_set_aside_are_numbered(store: Store) -> None:
    asides = []
    for _ in range(3):
        save(store, make_run())
        asides.append(store.set_aside("mlp"))
        assert not store.folder("mlp").exists()
    assert [aside.name for aside in asides] == ["mlp.1", "mlp.2", "mlp.3"]
    assert read_results(asides[0] / "mlp_results.toml") == make_run()


def test_no_number_is_given_twice_where_one_was_deleted(store: Store) -> None:
    for _ in range(3):
        save(store, make_run())
        store.set_aside("mlp")
    shutil.rmtree(store.root / ".replaced" / "mlp.2")
    save(store, make_run())
    assert store.set_aside("mlp").name == "mlp.2"


def test_what_is_set_aside_is_seen_no_more(store: Store) -> None:
    save(store, make_run())
    store.set_aside("mlp")
    assert find_folders(store.root).results == []
    assert not list(store.root.rglob("*tfevents*"))  # which TensorBoard would show


def test_a_run_that_is_not_there_cannot_be_set_aside(store: Store) -> None:
    store.root.mkdir()
    with pytest.raises(StoreError, match="mlp: No such file"):
        store.set_aside("mlp")


HOLD = """
import sys, time
from pathlib import Path
from fmgrid.results.store import Store
with Store(Path(sys.argv[1])).locked():
    print("held", flush=True)
    time.sleep(60)
"""


@contextlib.contextmanager
def holder(store: Store) -> Iterator["subprocess.Popen[str]"]:
    """Hold the lock in another process."""
    command = [sys.executable, "-c", HOLD, str(store.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_second_process_is_refused_at_once(store: Store) -> None:
    with holder(store):
        with pytest.raises(StoreError, match="another fmgrid run is writing here"), store.locked():
            pass
        assert store.is_locked()


def test_the_lock_dies_with_its_owner(store: Store) -> None:
    with holder(store) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not store.is_locked()
        with store.locked():
            assert store.is_locked()
    assert not store.is_locked()


def test_the_lock_is_released_when_the_work_raises(store: Store) -> None:
    with pytest.raises(KilledError), store.locked():
        raise KilledError
    assert not store.is_locked()


def test_asking_for_the_lock_makes_no_folder(store: Store) -> None:
    assert not store.is_locked()
    assert not store.root.exists()


@pytest.mark.parametrize(
    "work",
    [
        lambda store: store.begin("mlp"),
        lambda store: store.save(make_run()),
        lambda store: store.set_aside("mlp"),
        lambda store: store.locked().__enter__(),
    ],
    ids=["begin", "save", "set_aside", "locked"],
)
def test_a_file_where_the_log_folder_should_be_is_named(
    work: Callable[[Store], object], tmp_path: Path
) -> None:
    (tmp_path / "modellogs").write_text("mine")
    with pytest.raises(StoreError, match="modellogs"):
        work(Store(tmp_path / "modellogs"))
    assert (tmp_path / "modellogs").read_text() == "mine"


def test_a_name_too_long_for_the_file_system_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path / ("x" * 300))
    for work in (store.read, store.begin):
        with pytest.raises(StoreError, match=r"xxx.*File name too long"):
            work("mlp")


def test_a_folder_that_cannot_be_written_is_named() -> None:
    store = Store(Path("/proc/self"))  # which refuses even root
    with pytest.raises(StoreError, match="/proc/self/mlp: "):
        store.begin("mlp")


@pytest.mark.parametrize(
    "name", ["._events.out.tfevents.1.host", ".events.out.tfevents.1.host.swp", ".DS_Store"]
)
def test_hidden_files_in_an_unfinished_run_refuse_no_grid(name: str, store: Store) -> None:
    store.begin("mlp")
    (store.folder("mlp") / name).write_bytes(b"\0\5\x16\7")
    assert store.read("mlp") is None
    save(store, make_run())
    assert (store.folder("mlp") / name).exists()
    assert store.read("mlp") == make_run()


def test_results_that_cannot_be_looked_at_are_no_unfinished_run(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(store, make_run())
    original = Path.lstat

    def lstat(path: Path) -> os.stat_result:
        if path == store.results_file("mlp"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return original(path)

    monkeypatch.setattr(Path, "lstat", lstat)
    with pytest.raises(StoreError, match=r"mlp_results\.toml: Permission denied"):
        store.read("mlp")


@pytest.mark.parametrize("error", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_results_that_cannot_be_read_now_are_not_called_damaged(
    error: int, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(store, make_run())
    original = os.open

    def refuse(path: Path, flags: int, mode: int = 0o777) -> int:
        if path == store.results_file("mlp"):
            raise OSError(error, os.strerror(error), str(path))
        return original(path, flags, mode)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreError, match=r"mlp_results\.toml: cannot be read: "):
        store.read("mlp")
