"""The cache of decoded data sets: made once, verified at every start, made again when damaged.

The arrays are decoded from verified files and stored with their SHA-256, by which they are
verified from then on. Every training runs within `unchanged`, and so uses verified arrays only.
"""

import functools
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from fmgrid.data.batches import load_split
from fmgrid.data.catalogue import DATASETS
from fmgrid.data.formats import ARRAYS, Arrays
from fmgrid.errors import DataError
from fmgrid.system.disk import (
    HomeError,
    expand_home,
    move_file,
    open_regular,
    read_regular,
    sync,
    sync_folder,
    write_whole,
)
from fmgrid.system.locks import Lock

CHECKSUMS = "checksums.json"  # the SHA-256 of each array's file, written when all are whole
_LONGEST_CHECKSUMS = 10_000  # bytes
_WAIT_SECONDS = 30.0  # for an owner of the cache who may be dead without releasing it
_REMEDY = "set FMGRID_CACHE to a folder that can be written"

# Of each array, None where one is missing: its size, and the times when its content and when its
# owner, links and the like were changed. Some network file systems make up their inodes.
Facts: TypeAlias = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True)
class Prepared:
    """A data set that is ready to be mapped."""

    dataset: str
    folder: Path  # with the decoded arrays; absolute
    source: str  # where the files came from, for people
    facts: Facts  # of the arrays when they were verified


def prepare(
    dataset: str,
    data_dir: Path | None = None,
    inform: Callable[[str], None] = lambda _: None,
    warn: Callable[[str], None] | None = None,
) -> Prepared:
    """Return the verified, decoded data set; find, fetch and decode it if need be.

    Wrong files in *data_dir*, or else in the environment variable FMGRID_DATA, are an error.
    Without such a choice the cache is read first, then the data set's own sources. One process at
    a time makes a damaged cache again; the next call mends the traces of a kill. *inform* gets
    progress, and *warn* the damage; without *warn*, *inform* gets both. Raises `DataError`.
    """
    arrays, choice = _read_chosen(dataset, data_dir)
    cache = _cache_folder()
    folder = cache / dataset
    source = choice or f"the cache, {folder}"
    try:
        with _workspace(cache, dataset, inform) as workspace:
            facts, damage = _examine(folder)
            if damage:
                if any((folder / name).exists() for name in ARRAYS):
                    (warn or inform)(f"{folder}: making it again, because of {'; '.join(damage)}")
                if arrays is None:
                    arrays, source = _fetch(dataset, workspace, inform)
                facts = _make_again(folder, arrays, workspace)
    except OSError as error:
        # A cache that one may only read is as good as any, if it is whole.
        facts, damage = _examine(folder)
        if damage:
            is_folder = os.path.isdir(folder)  # noqa: PTH112 - Path.is_dir raises where it may not look
            contents = f" and holds {'; '.join(damage)}" if is_folder else ""
            reason = f"{error.filename or cache}: {error.strerror}" if error.strerror else error
            raise DataError(
                f"{cache}: cannot serve as the cache: "
                f"it cannot be written ({reason}){contents}; {_REMEDY}"
            ) from error
    return Prepared(dataset, folder, source, facts)


@contextmanager
def unchanged(prepared: Prepared) -> Iterator[None]:
    """Raise `DataError` if the arrays differ from those of `prepare`, or change meanwhile.

    Arrays whose files were only touched before are verified again, and pass.
    """
    facts = _look(prepared.folder)
    if facts != prepared.facts:
        _verify_anew(prepared.folder, facts)
    yield
    if _look(prepared.folder) != facts:
        raise DataError(
            f"{prepared.folder}: changed while a run was trained on it; "
            "the same command verifies it and trains the run again"
        )


@functools.cache  # hashing takes a tenth of a second, and nothing is hashed twice in a process
def _verify_anew(folder: Path, facts: Facts) -> None:
    """Raise `DataError` unless arrays with these facts are whole; let them be mapped anew."""
    load_split.cache_clear()
    new_facts, damage = _examine(folder)
    if new_facts != facts:
        damage.append("changed while it was verified")
    if damage:
        raise DataError(
            f"{folder}: changed while the grid ran: {'; '.join(damage)}; "
            "the same command makes it again and goes on"
        )


def _examine(folder: Path) -> tuple[Facts, list[str]]:
    """Return the facts of the arrays, and what is wrong with them: nothing, if they are whole."""
    facts = _look(folder)  # first, so that a later change shows
    try:
        checksums = json.loads(read_regular(folder / CHECKSUMS, _LONGEST_CHECKSUMS))
        problems = [(name, _objection_to(folder / name, checksums[name])) for name in ARRAYS]
    except FileNotFoundError:
        return facts, [f"{CHECKSUMS}: missing"]
    except OSError as error:
        return facts, [f"{CHECKSUMS}: unreadable ({error.strerror or error})"]
    except (ValueError, LookupError, TypeError):
        return facts, [f"{CHECKSUMS}: damaged"]
    return facts, [f"{name}: {problem}" for name, problem in problems if problem]


def _objection_to(path: Path, expected: str) -> str:
    try:
        return "" if _sha256(path) == expected else "damaged"
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return f"unreadable ({error.strerror or error})"


def _sha256(path: Path) -> str:
    with open_regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _look(folder: Path) -> Facts:
    facts: list[tuple[int, int, int] | None] = []
    for name in ARRAYS:
        try:
            status = (folder / name).stat()
            facts.append((status.st_size, status.st_mtime_ns, status.st_ctime_ns))
        except OSError:
            facts.append(None)
    return tuple(facts)


def _make_again(folder: Path, arrays: Arrays, workspace: Path) -> Facts:
    """Write the arrays into *folder*, each whole or not at all, and return their facts."""
    import numpy as np

    folder.mkdir(exist_ok=True)
    checksums = {}
    for name, array in arrays:
        with (workspace / name).open("wb") as stream:
            np.save(stream, array)
            stream.flush()
            sync(stream.fileno())
        checksums[name] = _sha256(workspace / name)
        move_file(workspace / name, folder / name)
        sync_folder(folder)
    write_whole(workspace / CHECKSUMS, json.dumps(checksums, indent=1).encode())
    move_file(workspace / CHECKSUMS, folder / CHECKSUMS)
    sync_folder(folder)
    return _look(folder)


def _read_chosen(dataset: str, data_dir: Path | None) -> tuple[Arrays | None, str]:
    """Return the arrays in the folder that the user chose, and the choice in words."""
    info = DATASETS[dataset]
    if info.has_choice and data_dir is not None:
        choice, folder = "--data-dir", data_dir.absolute()
    elif info.has_choice and (text := os.environ.get("FMGRID_DATA")):
        choice = "FMGRID_DATA"
        folder = _expand(choice, text, "name the folder with the published files")
    else:
        return None, ""
    try:
        return info.read(folder), f"{folder} ({choice})"
    except DataError as error:
        raise DataError(
            f"{folder}, chosen by {choice}, does not hold {dataset}:",
            *(f"  {line}" for line in str(error).splitlines()),
        ) from None


def _fetch(dataset: str, workspace: Path, inform: Callable[[str], None]) -> tuple[Arrays, str]:
    """Return the arrays of the first source that has them right, and its name."""
    info = DATASETS[dataset]
    failures = []
    for number, (name, find) in enumerate(info.sources.items()):
        inform(f"{dataset}: trying {name}")
        folder = workspace / str(number)
        folder.mkdir()
        try:
            return info.read(find(folder)), name
        except DataError as error:
            failures.append(f"{name}: {'; '.join(str(error).splitlines())}")
    raise DataError(
        f"{dataset}: not in the cache, {workspace.with_name(dataset)}, and no source has it:",
        *(f"  {failure}" for failure in failures),
        "What helps:",
        *(f"  {remedy}" for remedy in info.remedies),
    )


def _cache_folder() -> Path:
    """Return the cache's absolute path: workers may run in another folder."""
    import platformdirs

    if path := os.environ.get("FMGRID_CACHE"):
        return _expand("FMGRID_CACHE", path, _REMEDY)
    try:
        default = platformdirs.user_cache_dir("fmgrid")
    except (OSError, RuntimeError) as error:  # no home folder is known
        raise DataError(f"the usual cache folder is not known: {error}; {_REMEDY}") from error
    return _expand("the usual cache folder", default, _REMEDY)


def _expand(origin: str, text: str, remedy: str) -> Path:
    """Return the absolute path that a variable means. Raises `DataError` if it means none."""
    try:
        return expand_home(text).absolute()
    except HomeError as error:
        raise DataError(f"{origin}, {text}: {error}; {remedy}") from error


@contextmanager
def _workspace(cache: Path, dataset: str, inform: Callable[[str], None]) -> Iterator[Path]:
    """Give an empty folder in the cache, and with it the sole right to change the data set.

    A killed process leaves its workspace behind; the next one clears it away.
    """
    cache.mkdir(parents=True, exist_ok=True)
    lock = Lock(cache / f"{dataset}.lock")
    if not lock.acquire():
        owner = f"; {lock.owner}" if lock.owner else ""
        inform(f"{dataset}: waiting for another process that prepares it ({lock.path}{owner})")
        # The system's lock dies with its owner; another one may wait for ever to be released.
        while not lock.acquire(_WAIT_SECONDS):
            if lock.owner:
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


def find_in_cache(dataset: str) -> tuple[Path, bool]:
    """Return the folder of a data set in the cache, and whether it has all files, unverified."""
    folder = _cache_folder() / dataset
    return folder, all(os.path.isfile(folder / name) for name in (*ARRAYS, CHECKSUMS))  # noqa: PTH113 - Path.is_file raises where it may not look
