"""Grid files -> their values, and the line on which each of them stands.

`tomllib` decides what is valid and what the values are; it keeps no positions. tree-sitter's
grammar gives the positions, and nothing else. If the two differ, a value has the line of its
table. A table that is written in several places has the line of the first.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

from fmgrid.system.disk import read_regular
from fmgrid.system.toml import MAX_DEPTH, find_long_key
from fmgrid.words import printable

TomlPath: TypeAlias = tuple[str | int, ...]  # keys of tables and indices of arrays, outermost first

MAX_BYTES = 1_000_000
MAX_QUESTION = 200  # characters of a file's first line that go into reports

# The beginning of tomllib's messages, and what was probably meant.
_HINTS = {
    "invalid value": 'text stands in quotes, as in "Adam"; true and false have small letters',
    "cannot declare": "write each [table] once; [[grid]], in double brackets, may be repeated",
    "cannot mutate immutable": "write all of a table in { }, or each of its keys on a line",
    "cannot overwrite a value": "write each setting once",
    "invalid initial character": "write setting = value, and an inline table on one line",
    "invalid statement": "write setting = value, or [table]",
    "expected '='": "write setting = value",
    "expected newline": "write one setting per line",
    "unclosed": "close what is open",
}
_LONG_NUMBER = re.compile(r"(?<![\d_])[\d_]{4301,}+")  # more digits than Python's int() reads


class UnreadableError(ValueError):
    """A file that cannot be read as a grid; `line` (from 1) is the place of the mistake."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class Document:
    """A parsed TOML text."""

    values: dict[str, Any]
    lines: dict[TomlPath, int]  # from 1
    question: str = ""  # the comment that it begins with, "" if there is none

    def line(self, path: TomlPath) -> int | None:
        """Return the line of *path*, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)


def read_document(path: Path) -> Document:
    """Return the content of a grid file. Raises `UnreadableError`."""
    try:
        # Windows' editors put a byte order mark in front.
        text = read_regular(path, MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UnreadableError("is not UTF-8 text; save it as UTF-8", line) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        message = f"cannot be read: {reason}; name a grid file or a folder of them"
        raise UnreadableError(message) from error
    return parse(text)


def parse(text: str) -> Document:
    """Return the values of a TOML text with their lines. Raises `UnreadableError`."""
    if (long_key := find_long_key(text)) is not None:
        message = f"not TOML: a key has over {MAX_DEPTH} parts"
        raise UnreadableError(message, _line_at(text, long_key))
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _explain(str(error), text) from error
    except RecursionError as error:
        raise UnreadableError("not TOML: values are nested too deeply") from error
    except ValueError as error:
        number = _LONG_NUMBER.search(text)
        place = _line_at(text, number.start()) if number else None
        raise UnreadableError("not TOML: a number has too many digits", place) from error
    lines: dict[TomlPath, int] = {}
    tree = Parser(Language(tree_sitter_toml.language())).parse(text.encode())
    for path, line in _document_lines(tree.root_node):
        if len(path) > MAX_DEPTH:
            raise UnreadableError(f"not TOML: values are nested over {MAX_DEPTH} deep", line)
        lines.setdefault(path, line)
    first = text.lstrip().partition("\n")[0]
    comment = first.strip("# \t\r") if first.startswith("#") else ""
    return Document(values, lines, printable(comment, MAX_QUESTION))


def _explain(message: str, text: str) -> UnreadableError:
    """Move the place out of a message such as "Invalid value (at line 3, column 5)"."""
    reason, _, place = message.rpartition(" (at ")
    number = re.match(r"line (\d+)", place)  # otherwise it is the end of the document
    line = int(number[1]) if number else _line_at(text, len(text.rstrip("\n")))
    reason = reason[:1].lower() + reason[1:]
    hints = [f"; {hint}" for beginning, hint in _HINTS.items() if reason.startswith(beginning)]
    return UnreadableError(f"not TOML: {printable(reason)}{''.join(hints)}", line)


def _line_at(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _document_lines(document: Node) -> Iterator[tuple[TomlPath, int]]:
    arrays: dict[TomlPath, int] = {}  # an array of tables -> index of its last table
    for node in document.named_children:
        table: TomlPath = ()
        pairs = [node]
        if node.type in ("table", "table_array_element"):
            header, *pairs = _children(node)
            parts = _keys(header)
            for depth, key in enumerate(parts, 1):
                table += (key,)
                yield table, _line(node)
                if depth == len(parts) and node.type == "table_array_element":
                    arrays[table] = arrays.get(table, -1) + 1
                if table in arrays:  # what follows stands in the last table of the array
                    table += (arrays[table],)
                    yield table, _line(node)
        for pair in pairs:
            yield from _lines(pair, table)


def _lines(node: Node, path: TomlPath) -> Iterator[tuple[TomlPath, int]]:
    """Yield the paths and lines within a pair, an inline table or an array at *path*."""
    if node.type == "pair":
        key, value = _children(node)
        for part in _keys(key):
            path += (part,)
            yield path, _line(key)
        yield from _lines(value, path)
    elif node.type == "inline_table":
        for pair in _children(node):
            yield from _lines(pair, path)
    elif node.type == "array":
        for index, item in enumerate(_children(node)):
            yield (*path, index), _line(item)
            yield from _lines(item, (*path, index))


def _children(node: Node) -> list[Node]:
    return [child for child in node.named_children if child.type != "comment"]


def _keys(key: Node) -> tuple[str, ...]:
    if key.type == "dotted_key":
        return tuple(part for child in key.named_children for part in _keys(child))
    text = (key.text or b"").decode()
    return (next(iter(tomllib.loads(f"{text} = 0"))),) if key.type == "quoted_key" else (text,)


def _line(node: Node) -> int:
    return node.start_point[0] + 1
