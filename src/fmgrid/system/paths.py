"""Paths as users write them: a leading ~ is a home folder."""

import os
import re
from pathlib import Path

from fmgrid.errors import FmgridError
from fmgrid.words import printable


class HomeError(FmgridError):
    """A path begins with ~, and the home folder that it means is not known."""

    exit_code = 2


def expand_home(text: str) -> Path:
    """Return the path that *text* means, with the home folder in the place of a leading ~.

    Raises `HomeError`, with what to write instead, if that folder is not known.
    """
    if not text.startswith("~"):
        return Path(text)
    user = re.split(r"[/\\]" if os.name == "nt" else "/", text)[0].removeprefix("~")
    # Path("./~a") forgets that it began with a dot, so this looks at the text.
    expanded = os.path.expanduser(text)  # noqa: PTH111
    # An empty HOME would make ~ the root folder.
    is_known = os.path.isabs(expanded) and (user or os.environ.get("HOME") != "")  # noqa: PTH117
    if is_known:
        return Path(expanded)
    if not user:
        raise HomeError("~ means nothing: this user has no home folder; write the whole path")
    raise HomeError(
        f"there is no user {printable(user, 40)}, whose home folder ~{printable(user, 40)} would "
        f"be; write ./{printable(text, 60)} for a name that begins with ~"
    )
