"""TOML text -> its values, in a time that grows with its length and no faster.

`tomllib` takes a time that grows with the square of a key's parts: half a million of them take
days. Whoever wrote a text may mean harm, so its keys are looked at before it is read.
"""

import re
import tomllib
from typing import Any

MAX_DEPTH = 20  # of a key's parts, and of tables and arrays in each other

_PART = r"""(?:[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
_KEY = rf"{_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{MAX_DEPTH}}}"
_MANY_DOTS = re.compile(rf"(?:\.[^.\n]*+){{{MAX_DEPTH}}}")  # on one line, as a key is
# Texts of several lines and comments are passed over, because what looks like a key in them is
# none. A text on one line may be the first part of a key.
_TOKEN = re.compile(
    r'''"""(?:[^"\\]|\\.|"(?!""))*+(?:"{3,5}|\Z)'''
    r"""|'{3}(?:[^']|'(?!''))*+(?:'{3,5}|\Z)"""
    rf"|\#[^\n]*+|(?P<key>{_KEY})|{_PART}",
    re.DOTALL,
)


def loads(text: str) -> dict[str, Any]:
    """Return the values of a text. Raises `ValueError` for what is not TOML, and for long keys.

    Values that are nested too deeply raise `RecursionError`.
    """
    if find_long_key(text) is not None:
        raise ValueError(f"a key has over {MAX_DEPTH} parts")
    return tomllib.loads(text)


def find_long_key(text: str) -> int | None:
    """Return where the first key of more than 20 parts begins, None if there is none."""
    if _MANY_DOTS.search(text) is None:  # true of nearly all files, and quickly told
        return None
    starts = (found.start() for found in _TOKEN.finditer(text) if found["key"])
    return next(starts, None)
