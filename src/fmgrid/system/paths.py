"""Paths as users write them: a leading ~ is a home folder."""

import os
import re
from pathlib import Path

from fmgrid.errors import FmgridError
from fmgrid.words import printable


class HomeError(FmgridError):
    """A path begins with ~, and that home folder is not known."""

    exit_code = 2


def expand_home(text: str) -> Path:
    """Return a path with the home folder in place of a leading ~. Raises `HomeError`."""
    if not text.startswith("~"):
        return Path(text)
    user = re.split(r"[/\\]" if os.name == "nt" else "/", text)[0].removeprefix("~")
    # From the text, because Path("./~a") drops the dot.
    expanded = os.path.expanduser(text)  # noqa: PTH111
    # With an empty HOME, ~ would be the root folder.
    is_known = os.path.isabs(expanded) and (user or os.environ.get("HOME") != "")  # noqa: PTH117
    if is_known:
        return Path(expanded)
    if not user:
        raise HomeError("~ means nothing: this user has no home folder; write the whole path")
    raise HomeError(
        f"there is no user {printable(user, 40)}, whose home folder ~{printable(user, 40)} would "
        f"be; write ./{printable(text, 60)} for a name that begins with ~"
    )
