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

from fmgrid.errors import DataError
from fmgrid.system.disk import read_regular


@dataclass(frozen=True)
class Files:
    """The files that a data set was published in."""

    sha256: Mapping[str, str]  # of each by its name; a name without ending means what .gz unpacks
    place: str  # the folder below its root into which torchvision puts them
    archive: str = ""  # a tar file in which they were published, in the same folder
    most: int = 100_000_000  # bytes of a file, packed or not

    @property
    def published(self) -> tuple[str, ...]:
        """The names of the files that one downloads."""
        if self.archive:
            return (self.archive,)
        return tuple(f"{name}.gz" if _is_unpacked(name) else name for name in self.sha256)


def read_verified(folder: Path, files: Files) -> dict[str, bytes]:
    """Return the contents of the files in *folder*, unpacked.

    Raises `DataError` with a line for each that is missing or wrong.
    """
    paths = {name: _find(folder, name, files.place) for name in files.sha256}
    members = {} if any(paths.values()) else _read_members(folder, files)
    contents, problems = {}, []
    for name, path in paths.items():
        try:
            contents[name] = members[name] if name in members else _read(name, path, files)
            _verify(contents[name], files.sha256[name])
        except DataError as error:
            place = path.relative_to(folder) if path and name in contents else name
            problems.append(f"{place}: {error}; expected SHA-256 {files.sha256[name]}")
    if problems:
        raise DataError(*problems)
    return contents


def _verify(content: bytes, expected: str) -> None:
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != expected:
        raise DataError(f"its SHA-256 is {sha256}")


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


def _read(name: str, path: Path | None, files: Files) -> bytes:
    """Return a file's content, unpacked."""
    most = files.most
    if path is None:
        if files.archive:
            raise DataError(f"found neither in a folder nor in {files.archive}")
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


def _read_members(folder: Path, files: Files) -> dict[str, bytes]:
    """Return the files in the archive, {} where there is none."""
    path = folder / files.archive
    if not (files.archive and path.is_file()):
        return {}
    names = {f"{files.place}/{name}": name for name in files.sha256}
    contents = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.name in names else None
                if stream is not None:
                    contents[names[member.name]] = stream.read(files.most)
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{files.archive}: cannot be read: {reason}") from error
    return contents
