"""A user's own data: where they come from, and where they lie in the cache, by their content.

A memo of sizes and times spares files that did not change from being read again; a function is
called anew by every command. Arrays of other contents stay in the cache until somebody removes
them.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

from fmgrid.data.cache import (
    Prepared,
    cache_folder,
    cannot_serve,
    damage_of,
    examine,
    workspace_in,
)
from fmgrid.data.catalogue import DatasetInfo
from fmgrid.data.image_folders import find_images, read_options, stamp
from fmgrid.data.manifests import Manifest, ManifestError, move_arrays, read_manifest
from fmgrid.data.own_arrays import OwnDataError
from fmgrid.errors import DataError
from fmgrid.settings import show
from fmgrid.system.disk import read_regular, write_whole

Form: TypeAlias = Literal["file", "folder", "function"]
# Fills an empty folder with the arrays of a source and their manifest, and returns the content.
Decode: TypeAlias = Callable[["Source", Path], str]

_FOLDER = "own"  # of the cache
_MOST_BYTES = 1_000  # of a memo


def form_of(dataset: str) -> Form | None:
    """Return how own data are given, None for the name of a data set."""
    if dataset.lower().endswith(".npz"):
        return "file"
    module, colon, function = dataset.rpartition(":")
    if colon and function.isidentifier() and all(map(str.isidentifier, module.split("."))):
        return "function"
    separators = {"/", os.sep}
    return "folder" if any(separator in dataset for separator in separators) else None


@dataclass(frozen=True)
class Source:
    """Where a user's data come from."""

    dataset: str  # as the user wrote it
    path: Path  # of the file or the folder; absolute. Of a function, the current folder
    args: Mapping[str, Any]

    @property
    def form(self) -> Form | None:
        """How the data are given."""
        return form_of(self.dataset)

    @property
    def key(self) -> str:
        """A file name for what is noted of it."""
        text = json.dumps([self.form, self.dataset if self.form == "function" else "", self.args])
        return hashlib.sha256(f"{text}{self.path}".encode("utf-8", "surrogateescape")).hexdigest()

    def stamp(self) -> str | None:
        """Return a key that is the same while the files are, None for a function.

        Raises `OwnDataError` if they cannot be read.
        """
        try:
            if self.form == "folder":
                return stamp(find_images(self.path, read_options(self.args)))
            if self.form == "file":
                status = self.path.stat()
                return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
        except OSError as error:
            place = error.filename or self.path
            raise OwnDataError(f"{place}: {error.strerror or error}") from error
        return None


def find_content(source: Source, decode: Decode, inform: Callable[[str], None]) -> str:
    """Return the content of own data, which are in the cache then.

    Raises `OwnDataError` if they cannot be used, and `DataError` if the cache cannot.
    """
    folder, stamp = cache_folder() / _FOLDER, source.stamp()
    memo = folder / f"{source.key}.json"
    if content := _remembered(memo, stamp):
        return content
    try:
        with workspace_in(folder, source.key, source.dataset, inform) as workspace:
            if content := _remembered(memo, stamp):  # another process has just made it
                return content
            given = f" with {show(source.args)}" if source.args else ""
            inform(f"{'calling' if stamp is None else 'reading'} {source.dataset}{given}")
            content = decode(source, workspace)
            if source.stamp() != stamp:
                raise OwnDataError("changed while it was read; give the same command again")
            if not _is_there(folder / content, content):
                move_arrays(workspace, folder / content)
            if stamp is not None:
                write_whole(memo, json.dumps({"stamp": stamp, "content": content}).encode())
    except OSError as error:
        raise cannot_serve(folder, error) from error
    return content


def prepare_own(
    source: Source,
    content: str,
    decode: Decode,
    inform: Callable[[str], None],
    warn: Callable[[str], None],
) -> Prepared:
    """Return the verified arrays of own data; make them again if they are damaged.

    Raises `DataError`, also where the source has other data by now.
    """
    cache = cache_folder() / _FOLDER
    folder = cache / content
    facts, damage = examine(folder, content)
    if damage:
        try:
            with workspace_in(cache, source.key, source.dataset, inform) as workspace:
                warn(f"{folder}: making it again, because of {'; '.join(damage)}")
                if decode(source, workspace) != content:
                    raise DataError(f"{source.dataset}: changed; give the same command again")
                move_arrays(workspace, folder)
                facts, damage = examine(folder, content)
        except OwnDataError as error:
            raise DataError(*(f"{source.dataset}: {line}" for line in error.args)) from error
        except OSError as error:
            raise cannot_serve(cache, error) from error
    if damage:
        raise DataError(f"{folder}: {'; '.join(damage)}, though it was just made")
    return Prepared(source.dataset, folder, f"the cache, {folder}", facts, content)


@cache  # a content has one manifest
def own_info(content: str) -> DatasetInfo:
    """Return the facts of own data that are in the cache. Raises `DataError` if they are not."""
    folder = cache_folder() / _FOLDER / content
    try:
        manifest: Manifest = read_manifest(folder, content)
    except (OSError, ManifestError) as error:
        raise DataError(
            f"{folder}: {damage_of(error)}; `fmgrid plan` with the grid makes it again"
        ) from error
    return DatasetInfo(
        description="your own data",
        train_images=manifest.count("train"),
        test_images=manifest.count("test"),
        valid_images=manifest.count("valid"),
        shape=manifest.shape,
        classes=manifest.classes,
        are_tokens=manifest.are_tokens,
    )


def _remembered(memo: Path, stamp: str | None) -> str:
    """Return the content that was noted for files with this stamp, "" if it is not in the cache."""
    try:
        noted = json.loads(read_regular(memo, _MOST_BYTES))
        content = str(noted["content"]) if stamp and noted["stamp"] == stamp else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return content if content and _is_there(memo.parent / content, content) else ""


def _is_there(folder: Path, content: str) -> bool:
    """Return whether the arrays are in the cache; `prepare_own` verifies them."""
    try:
        manifest = read_manifest(folder, content)
    except (OSError, ManifestError):
        return False
    return all((folder / name).is_file() for name in manifest.arrays)
