"""What the grids of a log folder ask, kept in it for whoever reports on its runs.

`<root>/.grids/` has a file per grid: its question, the experiments that it spells out, its
hypotheses with the time at which each was first seen, and the commands that ran it.
"""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from fmgrid.errors import DamagedFileError
from fmgrid.records import Asked, Stated
from fmgrid.store import naming, read_sealed, seal, write_whole

FOLDER = ".grids"

_MOST_COMMANDS = 20  # that are remembered of a grid
_LISTS = ("names", "hypotheses", "withdrawn", "commands")


def unnoted(root: Path, asked: Sequence[Asked]) -> list[Asked]:
    """Return what grids ask, as `note` would keep it, where that is not what stands there.

    A hypothesis that stood there before keeps its time, and commands are added.
    """
    known = {one.path: one for one in read_asked(root)[0]}
    merged = [_merged(one, known.get(one.path)) for one in asked]
    return [one for one in merged if one != known.get(one.path)]


def note(root: Path, asked: Sequence[Asked]) -> list[Path]:
    """Keep what grids ask; return where damaged records of them are now.

    Raises `StoreError` if that cannot be.
    """
    folder = root / FOLDER
    aside = []
    with naming(folder):
        for one in unnoted(root, asked):
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / _file_name(one.path)
            if path.exists() and not _is_readable(path):
                aside.append(_set_aside(path))
            write_whole(path, to_file(one))
    return aside


def read_asked(root: Path) -> tuple[list[Asked], list[str]]:
    """Return what was asked of the runs below a folder, and which files of it are damaged."""
    folder = root / FOLDER
    if folder.exists() and not folder.is_dir():
        return [], [f"{folder}: is a file, and no folder that tells what the grids ask"]
    found: list[Asked] = []
    damaged: list[str] = []
    for path in sorted(folder.glob("*.toml")):
        try:
            found.append(_read(path))
        except DamagedFileError as error:
            damaged.append(f"{error}; the next fmgrid run notes anew what its grid asks")
    return found, damaged


def to_file(asked: Asked) -> bytes:
    """Return the content of the file that keeps what a grid asked."""
    values = asked.model_dump()
    return seal(values | {key: list(values[key]) for key in _LISTS})


def _read(path: Path) -> Asked:
    """Return the record in a file. Raises `DamagedFileError` for what fmgrid did not write so."""
    values = read_sealed(path)
    try:
        return Asked(
            path=values["path"],
            question=values["question"],
            names=tuple(values["names"]),
            hypotheses=tuple(Stated(**one) for one in values["hypotheses"]),
            withdrawn=tuple(Stated(**one) for one in values["withdrawn"]),
            commands=tuple(values["commands"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedFileError(f"{path}: does not fit this fmgrid") from error


def _merged(asked: Asked, known: Asked | None) -> Asked:
    """Return what a grid asks now, with the times and commands that are known already."""
    if known is None:
        return asked
    before = {_key(one): one for one in (*known.withdrawn, *known.hypotheses)}
    stated = tuple(
        one.model_copy(update={"since": before[_key(one)].since}) if _key(one) in before else one
        for one in asked.hypotheses
    )
    now = set(map(_key, stated))
    withdrawn = tuple(one for key, one in before.items() if key not in now)
    commands = tuple(dict.fromkeys([*known.commands, *asked.commands]))[-_MOST_COMMANDS:]
    return asked.model_copy(
        update={"hypotheses": stated, "withdrawn": withdrawn, "commands": commands}
    )


def _key(stated: Stated) -> tuple[str, ...]:
    return stated.claim, stated.expect, stated.resolved, stated.metric


def _file_name(path: str) -> str:
    """Return a file name for what a grid asked, another one for every path."""
    stem = re.sub(r"[^A-Za-z0-9_-]", "_", Path(path).stem)[:60]
    return f"{stem}-{hashlib.sha256(path.encode(errors='surrogateescape')).hexdigest()[:8]}.toml"


def _is_readable(path: Path) -> bool:
    try:
        _read(path)
    except DamagedFileError:
        return False
    return True


def _set_aside(path: Path) -> Path:
    """Move a damaged record out of the way; return where it is now."""
    number = next(n for n in range(1, 10_000) if not path.with_suffix(f".damaged-{n}").exists())
    return path.rename(path.with_suffix(f".damaged-{number}"))
