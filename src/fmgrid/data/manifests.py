"""The manifest of a user's arrays in the cache, and the content that it stands for.

The manifest has the shape, type and checksum of every array, and the names of the classes. Its own
SHA-256 is the content: it is the same wherever the data came from, and proves the manifest, which
proves the arrays.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmgrid.data.own_arrays import OwnArrays
from fmgrid.system.disk import read_regular, sync, write_whole

if TYPE_CHECKING:
    import numpy as np

MANIFEST = "manifest.json"
_MOST_BYTES = 10_000_000  # of a manifest: the names of 100,000 classes


class ManifestError(ValueError):
    """A manifest is missing or damaged."""


@dataclass(frozen=True)
class Manifest:
    """The facts of a user's arrays."""

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

    def has(self, name: str, array: "np.ndarray[Any, Any]") -> bool:
        """Return whether an array is the one that the manifest describes."""
        return _describe(array) == self.arrays[name]


def write_arrays(own: OwnArrays, folder: Path) -> str:
    """Write the arrays and their manifest into an empty folder, and return the content."""
    import numpy as np

    facts = {}
    for name, array in own.arrays.items():
        with (folder / f"{name}.npy").open("wb") as stream:
            np.save(stream, np.ascontiguousarray(array))
            stream.flush()
            sync(stream.fileno())
        facts[f"{name}.npy"] = _describe(array)
    text = json.dumps({"arrays": facts, "classes": own.classes}, sort_keys=True).encode()
    write_whole(folder / MANIFEST, text)
    return hashlib.sha256(text).hexdigest()


def read_manifest(folder: Path, content: str) -> Manifest:
    """Return the manifest of a folder in the cache. Raises `ManifestError`, `OSError`."""
    text = read_regular(folder / MANIFEST, _MOST_BYTES)
    if hashlib.sha256(text).hexdigest() != content:
        raise ManifestError("damaged")
    values = json.loads(text)
    return Manifest(values["arrays"], tuple(values["classes"]))


def _describe(array: "np.ndarray[Any, Any]") -> dict[str, Any]:
    import numpy as np

    numbers = np.ascontiguousarray(array)
    sha256 = hashlib.sha256(numbers.reshape(-1).view(np.uint8).data).hexdigest()
    return {"shape": [*array.shape], "type": str(array.dtype), "sha256": sha256}
