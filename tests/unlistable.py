"""Folders that the system refuses to list, be it to root."""

import os
from pathlib import Path
from typing import Any

import pytest


def refuse(folder: Path, error: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every attempt to list a folder fail with this error."""

    def refusing(original: Any) -> Any:
        def list_folder(path: Any = ".") -> Any:
            if os.path.realpath(path) == os.path.realpath(folder):
                raise OSError(error, os.strerror(error), str(path))
            return original(path)

        return list_folder

    for name in ("scandir", "listdir"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))
