"""The files of a report -> their folder: all of them or none, and nobody else's in their place."""

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from fmgrid.cli.showing import resolve
from fmgrid.errors import InputError, Place, Problem, StoreError
from fmgrid.report import MARK
from fmgrid.system.disk import move_file, move_folder, read_regular
from fmgrid.words import first_few

PAGES = ("report.md", "report.html")
PICTURES = "visualizations"

_MOST_BYTES = 100_000_000  # of a page that is looked into; with its pictures it has a few millions
_PICTURE = re.compile(rf"^!\[.*\]\(({PICTURES}/[^()/]+\.png)\)$", re.MULTILINE)


def check_place(folder: Path, names: Iterable[str] = (*PAGES, PICTURES)) -> None:
    """Refuse a folder in which files of these names would replace what fmgrid did not make.

    Raises `InputError`; `StoreError` where that cannot be told.
    """
    place = Place(f"-o {folder}")
    try:
        if folder.exists() and not folder.is_dir():
            raise InputError([Problem(place, "", "is a file; name a folder")])
        known = _pictures_of(folder)
        strangers = [name for name in names if not _may_be_written(folder / name, name in known)]
    except OSError as error:
        where = error.filename or folder
        raise StoreError(f"{where}: cannot be read: {error.strerror}") from error
    if strangers:
        message = f"holds {first_few(strangers)}, which may be your own; name another folder"
        raise InputError([Problem(place, "", message)])


def place(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder, by their paths in it, when all of them are there to be written.

    Pictures of an older report that this one does not have go. Raises `StoreError`, or
    `InputError` as `check_place` does, and then the folder is as it was.
    """
    check_place(folder, files)
    target = resolve(folder)
    is_new = not target.exists()
    staged = (target.with_name if is_new else target.joinpath)(f".fmgrid-report-{os.getpid()}")
    try:
        stale = [] if is_new else [name for name in _pictures_of(target) if name not in files]
        for name, content in files.items():
            (staged / name).parent.mkdir(parents=True, exist_ok=True)
            (staged / name).write_bytes(content)
        if is_new:
            move_folder(staged, target)
            return
        for name in files:
            (target / name).parent.mkdir(exist_ok=True)
            move_file(staged / name, target / name)
        for name in stale:
            (target / name).unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _may_be_written(path: Path, is_known: bool) -> bool:
    if path.name == PICTURES:
        return path.is_dir() or not path.exists()
    if path.name in PAGES:
        is_known = path.is_file() and MARK.encode() in read_regular(path, _MOST_BYTES)
    return is_known or not path.exists()


def _pictures_of(folder: Path) -> list[str]:
    """Return the pictures of the report that is there, by their paths in its folder."""
    page = folder / PAGES[0]
    if not page.is_file():
        return []
    text = read_regular(page, _MOST_BYTES).decode(errors="replace")
    return _PICTURE.findall(text.replace("\r\n", "\n"))
