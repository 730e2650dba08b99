"""The files of a report -> their folder: all of them or none, and nobody else's in their place."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from fmgrid.cli.showing import resolve
from fmgrid.errors import InputError, Place, Problem, StoreError
from fmgrid.report import MARK
from fmgrid.system.disk import move_file, move_folder, read_regular
from fmgrid.words import first_few

PAGES = ("report.md", "report.html")
PICTURES = "visualizations"

_MOST_BYTES = 100_000_000  # of a page that is read; with its pictures it has a few millions


def check_place(folder: Path) -> None:
    """Refuse a folder with pages or pictures that may not be fmgrid's.

    Raises `InputError`; `StoreError` where that cannot be told.
    """
    try:
        is_file = folder.exists() and not folder.is_dir()
        strangers = [  # a page says itself whose it is, and the first one whose pictures are there
            name
            for name, page in zip((*PAGES, PICTURES), (*PAGES, PAGES[0]), strict=True)
            if (folder / name).exists() and MARK not in _read(folder / page)
        ]
    except OSError as error:
        where = error.filename or folder
        raise StoreError(f"{where}: cannot be read: {error.strerror}") from error
    if is_file or strangers:
        names = first_few(strangers)
        message = f"holds {names}, which may be your own; name another folder"
        message = "is a file; name a folder" if is_file else message
        raise InputError([Problem(Place(f"-o {folder}"), "", message)])


def place(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder, by their paths in it, when all of them are there to be written.

    Pictures that only the older report has go. Raises `StoreError`, or `InputError` as
    `check_place` does, and then the folder is as it was.
    """
    check_place(folder)
    target = resolve(folder)
    is_new = not target.exists()
    staged = (target.with_name if is_new else target.joinpath)(f".fmgrid-report-{os.getpid()}")
    try:
        linked = [line for line in _read(target / PAGES[0]).splitlines() if line.startswith("![")]
        for name, content in files.items():
            (staged / name).parent.mkdir(parents=True, exist_ok=True)
            (staged / name).write_bytes(content)
        if is_new:
            move_folder(staged, target)
            return
        for name in files:
            (target / name).parent.mkdir(exist_ok=True)
            move_file(staged / name, target / name)
        for path in target.glob(f"{PICTURES}/*.png"):
            name = f"{PICTURES}/{path.name}"
            if name not in files and any(line.endswith(f"]({name})") for line in linked):
                path.unlink()
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _read(page: Path) -> str:
    """Return the text of a page, "" if it is no file."""
    return read_regular(page, _MOST_BYTES).decode(errors="replace") if page.is_file() else ""
