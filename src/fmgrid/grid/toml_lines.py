"""TOML text -> its values, and the line on which each of them stands.

`tomllib` decides what is valid and what the values are; it keeps no positions. tree-sitter's
grammar gives those, and nothing else: where the two should ever differ, a value has the line
of the table that holds it. What is spelled out in several places has the line of the first.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

from fmgrid.system.toml import MAX_DEPTH, find_long_key

TomlPath: TypeAlias = tuple[str | int, ...]  # keys of tables and indices of arrays, outermost first

_LONG_NUMBER = re.compile(r"(?<![\d_])[\d_]{4301,}+")  # more digits than Python's int() reads


class TomlError(ValueError):
    """The text is not TOML; `line` (from 1) is where that shows."""

    def __init__(self, message: str, line: int | None) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class Document:
    """A parsed TOML text."""

    values: dict[str, Any]
    lines: dict[TomlPath, int]  # from 1

    def line(self, path: TomlPath) -> int | None:
        """Return the line of *path*, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)


def parse(text: str) -> Document:
    """Return the values of *text* with their lines.

    Raises `TomlError`, with the line, for what is not TOML.
    """
    long_key = find_long_key(text)
    if long_key is not None:
        raise TomlError(f"a key has over {MAX_DEPTH} parts", _line_at(text, long_key))
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _located(str(error), text) from error
    except RecursionError as error:
        raise TomlError("values are nested too deeply", None) from error
    except ValueError as error:
        found = _LONG_NUMBER.search(text)
        line = _line_at(text, found.start()) if found else None
        raise TomlError("a number has too many digits", line) from error
    return Document(values, _locate(text))


def _located(message: str, text: str) -> TomlError:
    """Move the place out of tomllib's message: "... (at line 3, column 5)"."""
    match = re.fullmatch(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", message, re.S)
    if match is None:
        return TomlError(message, None)
    line = int(match[2]) if match[2] else _line_at(text, len(text.rstrip("\n")))
    return TomlError(match[1][0].lower() + match[1][1:], line)


def _line_at(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _locate(text: str) -> dict[TomlPath, int]:
    lines: dict[TomlPath, int] = {}
    tree = Parser(Language(tree_sitter_toml.language())).parse(text.encode())
    for path, line in _lines(tree.root_node):
        if len(path) > MAX_DEPTH:
            raise TomlError(f"values are nested over {MAX_DEPTH} deep", line)
        lines.setdefault(path, line)
    return lines


def _lines(document: Node) -> Iterator[tuple[TomlPath, int]]:
    arrays: dict[TomlPath, int] = {}  # an array of tables -> index of its last table
    for node in document.named_children:
        if node.type == "pair":
            yield from _pair_lines(node, ())
        elif node.type in ("table", "table_array_element"):
            header, *pairs = (child for child in node.named_children if child.type != "comment")
            keys = _keys(header)
            line = _line(node)
            if node.type == "table_array_element":
                array = _indexed(keys[:-1], arrays) + keys[-1:]
                arrays[array] = arrays.get(array, -1) + 1
            table = _indexed(keys, arrays)
            for length in range(1, len(table) + 1):  # [a.b] makes a as well
                yield table[:length], line
            for pair in pairs:
                yield from _pair_lines(pair, table)


def _indexed(keys: TomlPath, arrays: dict[TomlPath, int]) -> TomlPath:
    """Return the path of the table that *keys* reach: below an array of tables, its last one."""
    path: TomlPath = ()
    for key in keys:
        path += (key,)
        if path in arrays:
            path += (arrays[path],)
    return path


def _pair_lines(pair: Node, table: TomlPath) -> Iterator[tuple[TomlPath, int]]:
    if pair.type != "pair":
        return
    key, value = (child for child in pair.named_children if child.type != "comment")
    path, line = table, _line(key)
    for part in _keys(key):
        path += (part,)
        yield path, line
    yield from _value_lines(value, path)


def _value_lines(value: Node, path: TomlPath) -> Iterator[tuple[TomlPath, int]]:
    if value.type not in ("inline_table", "array"):
        return
    children = [child for child in value.named_children if child.type != "comment"]
    if value.type == "inline_table":
        for pair in children:
            yield from _pair_lines(pair, path)
    else:
        for index, item in enumerate(children):
            yield (*path, index), _line(item)
            yield from _value_lines(item, (*path, index))


def _keys(key: Node) -> tuple[str, ...]:
    if key.type == "dotted_key":
        return tuple(part for child in key.named_children for part in _keys(child))
    text = (key.text or b"").decode()
    return (next(iter(tomllib.loads(f"{text} = 0"))),) if key.type == "quoted_key" else (text,)


def _line(node: Node) -> int:
    return node.start_point[0] + 1
