"""TOML text -> values, in a time proportional to the length of the text.

The time of `tomllib` grows with the square of a key's parts: half a million of them take days. A
text may be anyone's, so long keys are refused before it is parsed.
"""

import re
import tomllib
from typing import Any

MAX_DEPTH = 20  # of a key's parts, and of tables and arrays in each other

_PART = r"""(?:[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
_KEY = rf"{_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{MAX_DEPTH}}}"
_MANY_DOTS = re.compile(rf"(?:\.[^.\n]*+){{{MAX_DEPTH}}}")  # on one line, as a key is
# Strings of several lines and comments are skipped: they have no keys. A string on one line may
# be the first part of a key.
_TOKEN = re.compile(
    r'''"""(?:[^"\\]|\\.|"(?!""))*+(?:"{3,5}|\Z)'''
    r"""|'{3}(?:[^']|'(?!''))*+(?:'{3,5}|\Z)"""
    rf"|\#[^\n]*+|(?P<key>{_KEY})|{_PART}",
    re.DOTALL,
)


def loads(text: str) -> dict[str, Any]:
    """Return the values of a text.

    Raises `ValueError` for a text that is not TOML or has a long key, and `RecursionError` for
    values that are nested too deeply.
    """
    if find_long_key(text) is not None:
        raise ValueError(f"a key has over {MAX_DEPTH} parts")
    return tomllib.loads(text)


def find_long_key(text: str) -> int | None:
    """Return the position of the first key of more than 20 parts, None if there is none."""
    if _MANY_DOTS.search(text) is None:  # as in nearly all files
        return None
    starts = (token.start() for token in _TOKEN.finditer(text) if token["key"])
    return next(starts, None)
