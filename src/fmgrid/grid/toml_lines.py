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
            yield from _pair_lines(pair, table)


def _pair_lines(pair: Node, path: TomlPath) -> Iterator[tuple[TomlPath, int]]:
    if pair.type == "pair":
        key, value = _children(pair)
        for part in _keys(key):
            path += (part,)
            yield path, _line(key)
        yield from _value_lines(value, path)


def _value_lines(value: Node, path: TomlPath) -> Iterator[tuple[TomlPath, int]]:
    if value.type == "inline_table":
        for pair in _children(value):
            yield from _pair_lines(pair, path)
    elif value.type == "array":
        for index, item in enumerate(_children(value)):
            yield (*path, index), _line(item)
            yield from _value_lines(item, (*path, index))


def _children(node: Node) -> list[Node]:
    return [child for child in node.named_children if child.type != "comment"]


def _keys(key: Node) -> tuple[str, ...]:
    if key.type == "dotted_key":
        return tuple(part for child in key.named_children for part in _keys(child))
    text = (key.text or b"").decode()
    return (next(iter(tomllib.loads(f"{text} = 0"))),) if key.type == "quoted_key" else (text,)


def _line(node: Node) -> int:
    return node.start_point[0] + 1
