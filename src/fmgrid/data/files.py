"""The published files of a data set, found in a folder or in an archive, and verified.

Nothing is decoded unless its SHA-256 is the one that the catalogue gives.
"""

import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fmgrid.errors import DataError
from fmgrid.system.disk import read_regular


class Archive(NamedTuple):
    """A tar file in which the files were published, together in torchvision's place for them."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Files:
    """The files that a data set was published in."""

    sha256: Mapping[str, str]  # of each by its name; a name without ending means what .gz unpacks
    place: str  # the folder below its root into which torchvision puts them
    archive: Archive | None = None
    most: int = 100_000_000  # bytes of a file, packed or not

    @property
    def published(self) -> tuple[str, ...]:
        """The names of the files that one downloads."""
        if self.archive:
            return (self.archive.name,)
        return tuple(f"{name}.gz" if _is_unpacked(name) else name for name in self.sha256)


def read_verified(folder: Path, files: Files) -> dict[str, bytes]:
    """Return the contents of the files in *folder*, unpacked.

    Raises `DataError` with a line for each that is missing or wrong.
    """
    paths = {name: _find(folder, name, files.place) for name in files.sha256}
    if files.archive and not any(paths.values()):
        return _read_archive(folder, files, files.archive)
    contents, problems = {}, []
    for name, path in paths.items():
        try:
            contents[name] = _read_one(name, path, files.most, files.sha256[name])
        except DataError as error:
            problems.append(f"{path.relative_to(folder) if path else name}: {error}")
    if problems:
        raise DataError(*problems)
    return contents


def _read_archive(folder: Path, files: Files, archive: Archive) -> dict[str, bytes]:
    """Return the contents of the files in an archive, which nobody reads before it is verified."""
    path = _find(folder, archive.name, files.place)
    try:
        content = _read_one(archive.name, path, files.most, archive.sha256)
    except DataError as error:
        raise DataError(f"{archive.name}: {error}") from error
    with tarfile.open(fileobj=io.BytesIO(content)) as members:
        streams = {name: members.extractfile(f"{files.place}/{name}") for name in files.sha256}
        return {name: stream.read() for name, stream in streams.items() if stream}


def _read_one(name: str, path: Path | None, most: int, expected: str) -> bytes:
    """Return a file's content, unpacked. Raises `DataError` if its SHA-256 is not the expected."""
    try:
        content = _read(name, path, most)
    except DataError as error:
        raise DataError(f"{error}; expected SHA-256 {expected}") from error
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != expected:
        raise DataError(f"its SHA-256 is {sha256}; expected SHA-256 {expected}")
    return content


def _find(folder: Path, name: str, place: str) -> Path | None:
    """Return a file in *folder*, or in torchvision's place within it; None where there is none."""
    endings = ("", ".gz") if _is_unpacked(name) else ("",)
    paths = (parent / f"{name}{end}" for parent in (folder, folder / place) for end in endings)
    try:
        return next(filter(Path.is_file, paths), None)
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {error.strerror or error}") from error


def _is_unpacked(name: str) -> bool:
    return "." not in name


def _read(name: str, path: Path | None, most: int) -> bytes:
    if path is None:
        raise DataError("found neither with nor without .gz" if _is_unpacked(name) else "not found")
    try:
        content = read_regular(path, most)
        if _is_unpacked(name) and path.suffix == ".gz":
            with gzip.open(io.BytesIO(content)) as stream:
                content = stream.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"cannot be read: {reason}") from error
    if len(content) > most:
        raise DataError(f"unpacked, it has more than {most:,} bytes")
    return content
