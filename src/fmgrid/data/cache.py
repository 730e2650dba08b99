"""The cache of decoded data sets: made once, verified at every start, made again when damaged.

The arrays are decoded from verified files, or are a user's own, and are stored with a manifest, by
which they are verified from then on. Every training runs within `unchanged`, and so uses verified
arrays only.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

from fmgrid.data.batches import load_split, map_array
from fmgrid.data.catalogue import DATASETS
from fmgrid.data.formats import ARRAYS, Arrays
from fmgrid.data.manifests import (
    MANIFEST,
    NAMES,
    Manifest,
    ManifestError,
    move_arrays,
    read_manifest,
    write_arrays,
)
from fmgrid.errors import DataError, is_lack_of_memory
from fmgrid.system.disk import HomeError, expand_home
from fmgrid.system.locks import Lock

_WAIT_SECONDS = 30.0  # for an owner of the cache who may be dead without releasing it
_REMEDY = "set FMGRID_CACHE to a folder that can be written"

# Of each file in a folder, None where one is missing: its size, and the times when its content and
# when its owner, links and the like were changed. Some network file systems make up their inodes.
Facts: TypeAlias = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True)
class Prepared:
    """A data set that is ready to be mapped."""

    dataset: str
    folder: Path  # with the decoded arrays; absolute
    source: str  # where the files came from, for people
    facts: Facts  # of the arrays when they were verified
    content: str | None = None  # of a user's own data


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
    cache = cache_folder()
    folder = cache / dataset
    source = choice or f"the cache, {folder}"
    try:
        with workspace_in(cache, dataset, dataset, inform) as workspace:
            facts, damage = examine(folder)
            if damage:
                if any((folder / name).exists() for name in ARRAYS):
                    (warn or inform)(f"{folder}: making it again, because of {'; '.join(damage)}")
                if arrays is None:
                    arrays, source = _fetch(dataset, workspace, inform)
                write_arrays(arrays, DATASETS[dataset].classes, workspace)
                move_arrays(workspace, folder)
                facts = _look(folder)
    except OSError as error:
        # A cache that one may only read is as good as any, if it is whole.
        facts, damage = examine(folder)
        if damage:
            is_folder = os.path.isdir(folder)  # noqa: PTH112 - Path.is_dir raises where it may not look
            contents = f" and holds {'; '.join(damage)}" if is_folder else ""
            raise cannot_serve(cache, error, contents) from error
    return Prepared(dataset, folder, source, facts)


@contextmanager
def unchanged(prepared: Prepared) -> Iterator[None]:
    """Raise `DataError` if the arrays differ from those of `prepare`, or change meanwhile.

    Arrays whose files were only touched before are verified again, and pass.
    """
    facts = _look(prepared.folder)
    if facts != prepared.facts:
        _verify_anew(prepared.content, prepared.folder, facts)
    yield
    if _look(prepared.folder) != facts:
        raise DataError(
            f"{prepared.folder}: changed while a run was trained on it; "
            "the same command verifies it and trains the run again"
        )


@cache  # hashing takes a tenth of a second, and nothing is hashed twice in a process
def _verify_anew(content: str | None, folder: Path, facts: Facts) -> None:
    """Raise `DataError` unless arrays with these facts are whole; let them be mapped anew."""
    load_split.cache_clear()
    new_facts, damage = examine(folder, content)
    if new_facts != facts:
        damage.append("changed while it was verified")
    if damage:
        raise DataError(
            f"{folder}: changed while the grid ran: {'; '.join(damage)}; "
            "the same command makes it again and goes on"
        )


def examine(folder: Path, content: str | None = None) -> tuple[Facts, list[str]]:
    """Return the facts of the arrays, and what is wrong with them: nothing, if they are whole.

    A user's own data have a *content*.
    """
    facts = _look(folder)  # first, so that a later change shows
    try:
        manifest = read_manifest(folder, content)
    except (OSError, ManifestError) as error:
        return facts, [f"{MANIFEST}: {damage_of(error)}"]
    problems = ((name, _objection_to(folder / name, name, manifest)) for name in manifest.arrays)
    return facts, [f"{name}: {problem}" for name, problem in problems if problem]


def _objection_to(path: Path, name: str, manifest: Manifest) -> str:
    try:
        return "" if manifest.has(name, map_array(path)) else "damaged"
    except Exception as error:  # numpy raises anything about a damaged header
        if is_lack_of_memory(error):
            raise
        return damage_of(error)


def damage_of(error: Exception) -> str:
    """Say what is wrong with a file of the cache that cannot be read."""
    if isinstance(error, FileNotFoundError):
        return "missing"
    if isinstance(error, OSError):
        return f"unreadable ({error.strerror or error})"
    return "damaged"


def _look(folder: Path) -> Facts:
    facts: list[tuple[int, int, int] | None] = []
    for name in NAMES:
        try:
            status = (folder / name).stat()
            facts.append((status.st_size, status.st_mtime_ns, status.st_ctime_ns))
        except OSError:
            facts.append(None)
    return tuple(facts)


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


def cannot_serve(cache: Path, error: OSError, contents: str = "") -> DataError:
    """Return the error of a cache that cannot be written, and may hold damaged *contents*."""
    # numpy says of a short write only how many numbers it wrote.
    no_room = f"no room: {error}"
    reason = f"{error.filename or cache}: {error.strerror}" if error.strerror else no_room
    return DataError(
        f"{cache}: cannot serve as the cache: it cannot be written ({reason}){contents}; {_REMEDY}"
    )


def cache_folder() -> Path:
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
def workspace_in(
    cache: Path, key: str, dataset: str, inform: Callable[[str], None]
) -> Iterator[Path]:
    """Give an empty folder in the cache, and with it the sole right to change the data set.

    *key* begins the names of the folder and of the lock. A killed process leaves its workspace
    behind; the next one clears it away.
    """
    cache.mkdir(parents=True, exist_ok=True)
    lock = Lock(cache / f"{key}.lock")
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
    workspace = cache / f"{key}.unfinished"
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
    folder = cache_folder() / dataset
    return folder, all(os.path.isfile(folder / name) for name in (*ARRAYS, MANIFEST))  # noqa: PTH113 - Path.is_file raises where it may not look
