"""The manifest of arrays in the cache: by it they are verified.

The manifest has the shape, type and checksum of every array, and the names of the classes. Of a
user's own data its SHA-256 is the content: the same wherever the data came from, it proves the
manifest, which proves the arrays.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmgrid.data.formats import ARRAYS, Array
from fmgrid.system.disk import move_file, read_regular, sync, sync_folder, write_whole

MANIFEST = "manifest.json"
# All files that a folder of the cache may have
NAMES = (*ARRAYS, "valid_inputs.npy", "valid_labels.npy", MANIFEST)
_MOST_BYTES = 200_000_000  # of a manifest: 100,000 classes with the longest names


class ManifestError(Exception):
    """A manifest is damaged, or another one than was expected."""


@dataclass(frozen=True)
class Manifest:
    """The facts of arrays in the cache."""

    arrays: Mapping[str, Mapping[str, Any]]  # "shape", "type" and "sha256" of each, by its file
    classes: tuple[str, ...]

    def count(self, split: str) -> int:
        """Return the number of inputs of a split, 0 if there is none of that name."""
        labels = self.arrays.get(f"{split}_labels.npy")
        return int(labels["shape"][0]) if labels else 0

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input."""
        return tuple(self.arrays["train_inputs.npy"]["shape"][1:])

    @property
    def are_tokens(self) -> bool:
        """Whether the inputs are whole numbers."""
        return bool(self.arrays["train_inputs.npy"]["type"] == "int64")

    def has(self, name: str, array: Array) -> bool:
        """Return whether an array is the one that the manifest describes."""
        return _describe(array) == self.arrays[name]


def write_arrays(arrays: Iterable[tuple[str, Array]], classes: Iterable[str], folder: Path) -> str:
    """Write arrays by their names and their manifest into a folder, and return the content."""
    import numpy as np

    facts = {}
    for name, array in arrays:
        with (folder / name).open("wb") as stream:
            np.save(stream, np.ascontiguousarray(array))
            stream.flush()
            sync(stream.fileno())
        facts[name] = _describe(array)
    text = json.dumps({"arrays": facts, "classes": [*classes]}, sort_keys=True).encode()
    write_whole(folder / MANIFEST, text)
    return hashlib.sha256(text).hexdigest()


def move_arrays(workspace: Path, folder: Path) -> None:
    """Move what `write_arrays` wrote to another folder, each file whole, and the manifest last."""
    folder.mkdir(exist_ok=True)
    for name in NAMES:
        if (workspace / name).exists():
            move_file(workspace / name, folder / name)
            sync_folder(folder)


def read_manifest(folder: Path, content: str | None = None) -> Manifest:
    """Return the manifest of a folder of the cache; a user's own data have a *content*.

    Raises `ManifestError`, `OSError`.
    """
    text = read_regular(folder / MANIFEST, _MOST_BYTES)
    if content and hashlib.sha256(text).hexdigest() != content:
        raise ManifestError
    try:
        values = json.loads(text)
        manifest = Manifest(values["arrays"], tuple(values["classes"]))
        is_whole = {*ARRAYS} <= {*manifest.arrays} <= {*NAMES}
    except (ValueError, LookupError, TypeError) as error:
        raise ManifestError from error
    if not is_whole:
        raise ManifestError
    return manifest


def _describe(array: Array) -> dict[str, Any]:
    import numpy as np

    numbers = np.ascontiguousarray(array)
    sha256 = hashlib.sha256(numbers.reshape(-1).view(np.uint8).data).hexdigest()
    return {"shape": [*array.shape], "type": str(array.dtype), "sha256": sha256}
