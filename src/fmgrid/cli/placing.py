"""The files of a report -> their folder: all of them or none, and nobody else's in their place."""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from fmgrid.cli.showing import resolve
from fmgrid.errors import InputError, Place, Problem, StoreError
from fmgrid.report import MARK
from fmgrid.words import printable

PAGES = ("report.md", "report.html")
PICTURES = "visualizations"

_PICTURE = re.compile(rf"\(({PICTURES}/[^()/]+\.png)\)")


def check_place(folder: Path) -> None:
    """Refuse a folder in which a report would replace what fmgrid did not make.

    Raises `InputError`; `StoreError` where that cannot be told.
    """
    place = Place(f"-o {printable(str(folder))}")
    try:
        if folder.exists() and not folder.is_dir():
            raise InputError([Problem(place, "", "is a file; name a folder")])
        strangers = [name for name in PAGES if _is_a_strangers(folder / name)]
    except OSError as error:
        raise StoreError(f"{folder}: cannot be read: {error.strerror}") from error
    if strangers:
        message = f"has a {' and a '.join(strangers)} of your own; name another folder"
        raise InputError([Problem(place, "", message)])


def place(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder, by their paths in it, when all of them are there to be written.

    Pictures of an older report that this one does not have go. Raises `StoreError`, and then the
    folder is as it was.
    """
    target = resolve(folder)
    is_new = not target.exists()
    staged = (target.with_name if is_new else target.joinpath)(f".fmgrid-report-{os.getpid()}")
    try:
        stale = [] if is_new else [name for name in _pictures_of(target) if name not in files]
        for name, content in files.items():
            (staged / name).parent.mkdir(parents=True, exist_ok=True)
            (staged / name).write_bytes(content)
        if is_new:
            staged.rename(target)
            return
        for name in files:
            (target / name).parent.mkdir(exist_ok=True)
            (staged / name).replace(target / name)
        for name in stale:
            (target / name).unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _is_a_strangers(page: Path) -> bool:
    return page.exists() and (not page.is_file() or MARK.encode() not in page.read_bytes())


def _pictures_of(folder: Path) -> list[str]:
    """Return the pictures of the report that is there, by their paths in its folder."""
    page = folder / PAGES[0]
    return _PICTURE.findall(page.read_text(errors="replace")) if page.is_file() else []
