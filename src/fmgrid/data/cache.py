"""The cache of decoded data sets: made once, verified at every start, mended when damaged.

A manifest beside the arrays has the SHA-256 of each, taken when they were written. Whoever trains
asks before and after whether the arrays are still those that were verified.
"""

import functools
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import BinaryIO, TypeAlias

from fmgrid.data.batches import load_split, map_array
from fmgrid.data.catalogue import DATASETS, DatasetInfo
from fmgrid.data.sources import FILES, Arrays, is_published, read_arrays
from fmgrid.errors import DataError
from fmgrid.experiment import Record
from fmgrid.system.disk import move_file, open_regular, read_regular, sync, sync_folder
from fmgrid.system.locks import Lock
from fmgrid.system.paths import HomeError, expand_home

MANIFEST = "manifest.json"

_FORMAT = 1  # of the arrays; others are made again
_LARGEST_MANIFEST = 100_000  # bytes
_WAIT_SECONDS = 30.0  # for an owner of the cache who may be dead without releasing it


class ArrayFile(Record):
    """A decoded array as it was written."""

    name: str
    size: int  # bytes
    sha256: str


class Manifest(Record):
    """What the arrays were made of, and what came of it."""

    origin: tuple[str, ...]
    arrays: tuple[ArrayFile, ...]


_NO_MANIFEST = Manifest(origin=(), arrays=())

# Of each array, None where one is missing: its size, and the times when its content and when its
# owner, links and the like were changed. Some network file systems make up their inodes.
Facts: TypeAlias = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True)
class Prepared:
    """A data set that is ready to be mapped."""

    dataset: str
    folder: Path  # with the decoded arrays; absolute
    source: str  # where the files came from, for people
    manifest: Manifest
    facts: Facts  # of the arrays when they were verified


def prepare(
    dataset: str,
    data_dir: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
    warn: Callable[[str], None] | None = None,
) -> Prepared:
    """Return the verified, decoded data set; find, fetch and decode it if need be.

    The files of *data_dir*, or else of the environment variable FMGRID_DATA, are right, or it is
    an error. Without such a choice the cache is asked first, then the data set's own sources.
    *say* gets lines for a person who waits. *warn*, or *say* without it, gets what was damaged.

    The cache is verified on every call, and a damaged one is made again, by one process at a
    time; a kill at any moment leaves a state that the next call mends.

    Raises `DataError`, with everything that was tried, or with the folder that cannot be used.
    """
    info = DATASETS[dataset]
    chosen, choice = _read_chosen(dataset, data_dir)
    cache = _cache_folder()
    folder = cache / dataset
    source = choice or f"the cache, {folder}"
    try:
        with _workspace(cache, dataset, say) as workspace:
            manifest = _read_manifest(folder, info)
            facts, damage = _examine(folder, manifest)
            if damage:
                if folder.exists():
                    (warn or say)(f"{folder}: making it again, because of {'; '.join(damage)}")
                if chosen is None:
                    chosen, source = _fetch(dataset, workspace, say)
                manifest = _make_again(folder, info, chosen, workspace)
                facts, damage = _examine(folder, manifest)
            elif not (folder / MANIFEST).exists():
                _write_manifest(folder, manifest, workspace)
    except OSError as error:
        # A cache that one may only read is as good as any, if it is whole.
        manifest = _read_manifest(folder, info)
        facts, damage = _examine(folder, manifest)
        if damage:
            raise _cannot_serve(cache, folder, error, damage) from error
    if damage:
        raise DataError(f"{folder}: wrong although just written: {'; '.join(damage)}")
    return Prepared(dataset, folder, source, manifest, facts)


def _cannot_serve(cache: Path, folder: Path, error: OSError, damage: list[str]) -> DataError:
    is_there = os.path.isdir(folder)  # noqa: PTH112 - Path.is_dir raises where it may not look
    contents = f" and holds {'; '.join(damage)}" if is_there else ""
    reason = f"{error.filename or cache}: {error.strerror}" if error.strerror else error
    return DataError(
        f"{cache}: cannot serve as the cache: it cannot be written ({reason}){contents}; "
        "set FMGRID_CACHE to a folder that can be written"
    )


def check_unchanged(prepared: Prepared) -> Facts:
    """Return the facts of the arrays, which are those that `prepare` verified, or verified anew.

    Raises `DataError` if they are damaged. To be called before they are mapped for a training,
    and again with `check_undisturbed` when that has ended.
    """
    facts = _look(prepared.folder, prepared.manifest)
    if facts != prepared.facts:
        # Somebody has touched them, as a backup does, or has written to them.
        _verify_anew(prepared.folder, prepared.manifest, facts)
    return facts


def check_undisturbed(prepared: Prepared, before: Facts) -> None:
    """Raise `DataError` if the arrays have changed since their facts were *before*."""
    if _look(prepared.folder, prepared.manifest) != before:
        raise DataError(
            f"{prepared.folder}: changed while a run was trained on it; "
            "the same command verifies it and trains the run again"
        )


@functools.cache  # hashing takes a tenth of a second, and nothing is hashed twice in a process
def _verify_anew(folder: Path, manifest: Manifest, facts: Facts) -> None:
    """Raise `DataError` unless arrays with these facts are whole; let them be mapped anew."""
    load_split.cache_clear()
    now, damage = _examine(folder, manifest)
    if now != facts:
        damage.append("changed while it was verified")
    if damage:
        raise DataError(
            f"{folder}: changed while the grid ran: {'; '.join(damage)}; "
            "the same command makes it again and goes on"
        )


def _read_manifest(folder: Path, info: DatasetInfo) -> Manifest:
    """Return the manifest of a data set in its folder, made up where version 0.1 wrote none.

    It is empty where there is none, or one of other files.
    """
    try:
        content = read_regular(folder / MANIFEST, _LARGEST_MANIFEST)
        manifest = Manifest.model_validate_json(content)
    except FileNotFoundError:
        return _adopt(folder, info)
    except (OSError, ValueError):
        return _NO_MANIFEST
    names = [file.name for file in manifest.arrays]
    is_for_this = manifest.origin == _origin(info) and names == [*FILES.values()]
    return manifest if is_for_this else _NO_MANIFEST


def _adopt(folder: Path, info: DatasetInfo) -> Manifest:
    """Return a manifest of arrays that hold the published numbers, an empty one of others."""
    try:
        arrays = [map_array(folder / name) for name in FILES.values()]
        is_whole = all(map(is_published, arrays, repeat(info.shape), info.sha256))
        return _describe(folder, info) if is_whole else _NO_MANIFEST
    except (OSError, ValueError, EOFError):
        return _NO_MANIFEST


def _origin(info: DatasetInfo) -> tuple[str, ...]:
    return (str(_FORMAT), *info.sha256)


def _describe(folder: Path, info: DatasetInfo) -> Manifest:
    paths = [folder / name for name in FILES.values()]
    arrays = [
        ArrayFile(name=path.name, size=path.stat().st_size, sha256=_sha256(path)) for path in paths
    ]
    return Manifest(origin=_origin(info), arrays=tuple(arrays))


def _sha256(path: Path) -> str:
    with open_regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _examine(folder: Path, manifest: Manifest) -> tuple[Facts, list[str]]:
    """Return the facts of the arrays, and what is wrong with them: nothing, if they are whole."""
    if not manifest.arrays:
        return (), [f"{MANIFEST}: missing or damaged"]
    facts = _look(folder, manifest)  # first, so that a later change shows
    problems = ((file.name, _objection_to(folder / file.name, file)) for file in manifest.arrays)
    return facts, [f"{name}: {problem}" for name, problem in problems if problem]


def _objection_to(path: Path, file: ArrayFile) -> str:
    try:
        if path.stat().st_size == file.size and _sha256(path) == file.sha256:
            return ""
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return f"unreadable ({error.strerror or error})"
    return "damaged"


def _look(folder: Path, manifest: Manifest) -> Facts:
    return tuple(_facts_of(folder / file.name) for file in manifest.arrays)


def _facts_of(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _make_again(folder: Path, info: DatasetInfo, arrays: Arrays, workspace: Path) -> Manifest:
    """Write the arrays into *folder*, one after the other, and their manifest last."""
    import numpy as np

    folder.mkdir(exist_ok=True)
    for name, array in arrays:
        write_whole(folder / name, workspace, functools.partial(np.save, arr=array))
    manifest = _describe(folder, info)
    _write_manifest(folder, manifest, workspace)
    return manifest


def _write_manifest(folder: Path, manifest: Manifest, workspace: Path) -> None:
    text = manifest.model_dump_json(indent=1)
    write_whole(folder / MANIFEST, workspace, lambda stream: stream.write(text.encode()))


def write_whole(path: Path, workspace: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let *write* fill a file in *workspace*, and move it to *path*: it appears whole or not."""
    beside = workspace / path.name
    with beside.open("wb") as stream:
        write(stream)
        stream.flush()
        sync(stream.fileno())
    move_file(beside, path)
    sync_folder(path.parent)


def _read_chosen(dataset: str, data_dir: Path | None) -> tuple[Arrays | None, str]:
    """Return the arrays in the folder that the user chose, and the choice in words."""
    info = DATASETS[dataset]
    if info.has_choice and data_dir is not None:
        choice, folder = "--data-dir", data_dir.absolute()
    elif info.has_choice and (text := os.environ.get("FMGRID_DATA")):
        choice = "FMGRID_DATA"
        folder = _expanded(choice, text, "name the folder with the four files")
    else:
        return None, ""
    try:
        return read_arrays(folder, info.sha256), f"{folder} ({choice})"
    except DataError as error:
        raise DataError(
            f"{folder}, chosen by {choice}, does not hold {dataset}:\n"
            f"{_indented(str(error).splitlines())}"
        ) from None


def _fetch(dataset: str, workspace: Path, say: Callable[[str], None]) -> tuple[Arrays, str]:
    """Return the arrays of the first source that has them right, and its name."""
    info = DATASETS[dataset]
    failures = []
    for number, (name, find) in enumerate(info.sources.items()):
        say(f"{dataset}: trying {name}")
        private = workspace / str(number)
        private.mkdir()
        try:
            return read_arrays(find(private), info.sha256), name
        except DataError as error:
            failures.append(f"{name}: {'; '.join(str(error).splitlines())}")
    raise DataError(
        f"{dataset}: not in the cache, {workspace.with_name(dataset)}, and no source has it:\n"
        f"{_indented(failures)}\n"
        f"What helps:\n{_indented(info.remedies)}"
    )


def _indented(lines: Iterable[str]) -> str:
    return "\n".join(f"  {line}" for line in lines)


def _cache_folder() -> Path:
    """Return the cache's absolute path: workers may run in another folder."""
    import platformdirs

    remedy = "set FMGRID_CACHE to a folder that can be written"
    if chosen := os.environ.get("FMGRID_CACHE"):
        return _expanded("FMGRID_CACHE", chosen, remedy)
    try:
        usual = platformdirs.user_cache_dir("fmgrid")
    except (OSError, RuntimeError) as error:  # no home folder is known
        raise DataError(f"the usual cache folder is not known: {error}; {remedy}") from error
    return _expanded("the usual cache folder", usual, remedy)


def _expanded(origin: str, text: str, remedy: str) -> Path:
    """Return the absolute path that a variable means. Raises `DataError` if it means none."""
    try:
        return expand_home(text).absolute()
    except HomeError as error:
        raise DataError(f"{origin}, {text}: {error}; {remedy}") from error


@contextmanager
def _workspace(cache: Path, dataset: str, say: Callable[[str], None]) -> Iterator[Path]:
    """Give an empty folder in the cache, and with it the sole right to change the data set.

    A killed process leaves its workspace behind; the next one clears it away.
    """
    cache.mkdir(parents=True, exist_ok=True)
    lock = Lock(cache / f"{dataset}.lock")
    if not lock.acquire():
        owner = "" if lock.is_of_the_system else f"; {lock.owner}"
        say(f"{dataset}: waiting for another process that prepares it ({lock.path}{owner})")
        # The system's lock dies with its owner; another one may wait for ever to be released.
        while not lock.acquire(_WAIT_SECONDS):
            if not lock.is_of_the_system:
                raise DataError(
                    f"{dataset}: another process prepares it in {cache}: {lock.owner}, "
                    "or set FMGRID_CACHE to another folder"
                )
    workspace = cache / f"{dataset}.unfinished"
    try:
        if workspace.exists():
            shutil.rmtree(workspace)
        workspace.mkdir()
        yield workspace
    finally:
        shutil.rmtree(workspace, ignore_errors=True)
        lock.release()
