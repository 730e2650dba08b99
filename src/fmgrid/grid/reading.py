"""Grid files and --set -> blocks, with everything that shows without expanding them.

Problems are collected in a list that the caller passes in; what has one is left out, and
reading goes on, so that a user sees all of them at once.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fmgrid.components import RESERVED_ARGUMENTS, objection_to_name
from fmgrid.errors import InputError, Place, Problem
from fmgrid.experiment import Experiment
from fmgrid.grid.blocks import (
    KINDS,
    Block,
    Grid,
    Kind,
    Statement,
    Written,
    overlay,
)
from fmgrid.grid.files import first_comment, read_text, refusal
from fmgrid.grid.hypotheses import read_statement
from fmgrid.grid.names import check_template
from fmgrid.grid.toml_lines import Document, TomlError, TomlPath, parse
from fmgrid.quantities import parse_seconds
from fmgrid.settings import RIVALS, SETTINGS, Keys, objection_to, show_key, show_toml
from fmgrid.words import or_near_match, printable

MAX_PROBLEMS = 1_000  # in one file; nobody reads on from there

_TOP_LEVEL = [
    *("name", "seeds", "repeats", "timeout", "base", *KINDS, "exclude"),
    *("grids", "hypothesis"),
]
_BESIDE = ("name", "seeds", "repeats", "timeout")  # what stands beside the settings of a block
_DERIVED = ["depth", "name"]  # what [[exclude]] may ask for besides settings
# What tomllib says, and what was probably meant.
_HINTS = {
    "invalid value": 'text stands in quotes, as in "Adam"; true and false have small letters',
    "cannot declare": "write each [table] once; [[grid]], in double brackets, may be repeated",
    "cannot overwrite a value": "write each setting once",
    "invalid initial character": "write setting = value, and an inline table on one line",
    "invalid statement": "write setting = value, or [table]",
    "expected '='": "write setting = value",
    "expected newline": "write one setting per line",
    "unclosed": "close what is open",
}

# What --set would take for text.
_PYTHONS_WORDS = {
    "True": "write true",
    "False": "write false",
    "None": "leave the setting out, and it keeps its default",
}


def read_grid(
    path: Path,
    overrides: Mapping[Keys, Written],
    seeds: Sequence[int] | None,
    problems: list[Problem],
) -> Grid | None:
    """Return what the file says, None if it isn't TOML at all."""
    try:
        text = read_text(path)
        reader = _Reader(path, parse(text), overrides, seeds)
        grid = replace(reader.read(), question=first_comment(text))
    except InputError as error:
        problems += error.problems
        return None
    except TomlError as error:
        hint = next((hint for said, hint in _HINTS.items() if str(error).startswith(said)), "")
        message = f"not TOML: {printable(str(error))}{hint and '; '}{hint}"
        problems.append(Problem(Place(str(path), error.line), "", message))
        return None
    problems += reader.problems
    return grid


def read_overrides(texts: Iterable[str], problems: list[Problem]) -> dict[Keys, Written]:
    """Read --set "setting=value", the value as TOML writes it; bare words need no quotes."""
    overrides: dict[Keys, Written] = {}
    for text in texts:
        key, equals, word = text.partition("=")
        keys = tuple(part.strip() for part in key.split("."))
        value = _toml_value(word.strip())
        if keys == ("name",) and not isinstance(value, str):
            value = word.strip()  # a name that looks like a number
        written = Written(value, Place(f"--set {printable(text, 100)}"), "")
        if objection := _objection_to_override(keys, equals, word.strip(), value):
            problems.append(written.problem(objection))
        else:
            overrides = overlay(overrides, {keys: written})
    return overrides


def _objection_to_override(keys: Keys, equals: str, word: str, value: Any) -> str | None:
    if not equals:
        return "has no value; write --set setting=value"
    if keys[0] in ("seed", "seeds", "repeats"):
        return "seeds are given as --seeds 0,1,2"
    if keys[0] == "timeout":
        return "a time limit is given as --timeout 60s"
    if keys == ("name",):
        return check_template(value)
    if instead := _PYTHONS_WORDS.get(word):
        return f"{word} is Python's word; {instead}"
    return _objection_to_key(keys)


def _toml_value(text: str) -> Any:
    try:
        values = parse(f"value = {text}").values
    except ValueError:  # a bare word, or what no terminal should have sent
        return text
    return values["value"] if len(values) == 1 else text


@dataclass
class _Reader:
    """Turns a parsed document into a `Grid`."""

    path: Path
    document: Document
    overrides: Mapping[Keys, Written]
    seeds: Sequence[int] | None  # from the command line, which replace those in the document
    problems: list[Problem] = field(default_factory=list)

    def read(self) -> Grid:
        """Read the whole document."""
        values = self.document.values
        if not values:
            raise refusal(self.path, "spells out nothing; write [grid], [[point]] or [base]")
        for key in values:
            if key not in _TOP_LEVEL:
                self._problem((key,), _unknown_at_top(key))
        whole = Block(  # what [base] alone spells out, and what other blocks start from
            kind="point",
            place=Place(str(self.path), 1),
            template=None,
            seeds=self.seeds or self._seeds(values, ()) or [0],
            axes={},
            timeout=self._timeout(values, ()),
        )
        blocks = [
            self._block(kind, path, table, whole)
            for kind in KINDS
            for path, table in self._tables(kind)
        ]
        members = self._members()
        if not any(kind in values for kind in KINDS):
            blocks = [whole] if "base" in values or "grids" not in values else []
        for key in (*_BESIDE, "exclude") if "grids" in values and not blocks else ():
            if key in values:
                because = "says nothing of the files in grids, and there is no block beside them"
                self._problem((key,), f"{because}; write it in those files")
        grid = Grid(
            path=self.path,
            template=self._template(values, ()),
            base=next((self._settings(*table) for table in self._tables("base")), {}),
            blocks=blocks,
            excludes=[rule for table in self._tables("exclude") if (rule := self._exclude(*table))],
            overrides=self.overrides,
            members=members,
        )
        sound = not self.problems  # a mistake in a hypothesis changes no experiment
        return replace(grid, statements=self._statements(), sound=sound)

    def _members(self) -> list[Written]:
        """Return the paths of the files that this one takes in, relative to its folder."""
        named = self.document.values.get("grids")
        if named is not None and (not named or not isinstance(named, list)):
            wrong = f'{show_toml(named)} is not a list of files; write grids = ["epochs.toml"]'
            self._problem(("grids",), wrong)
            named = None
        members = []
        for index, name in enumerate(named or ()):
            if objection := _objection_to_member(self.path.parent, name):
                self._problem(("grids", index), f"{show_toml(name)} {objection}")
            else:
                members.append(self._written(("grids", index), self.path.parent / name))
        return members

    def _statements(self) -> list[Statement]:
        found = []
        for path, table in self._tables("hypothesis"):
            written = {key: self._written((*path, key), value) for key, value in table.items()}
            try:
                found.append(read_statement(self._written(path, None), written))
            except InputError as error:
                for problem in error.problems:
                    self._report(problem)
        return found

    def _tables(self, kind: str) -> list[tuple[TomlPath, dict[str, Any]]]:
        """Return the tables of [kind] or several [[kind]], with their paths."""
        written = self.document.values.get(kind)
        if written is None:
            return []
        if isinstance(written, dict):
            return [((kind,), written)]
        is_list = written and isinstance(written, list) and kind != "base"
        if is_list and all(isinstance(table, dict) for table in written):
            return [((kind, index), table) for index, table in enumerate(written)]
        several = "" if kind == "base" else f" or [[{kind}]]"
        self._problem((kind,), f"{show_toml(written)} is not a table; write [{kind}]{several}")
        return []

    def _template(self, table: Mapping[str, Any], path: TomlPath) -> Written | None:
        if "name" not in table:
            return None
        written = self._written((*path, "name"), table["name"])
        if objection := check_template(written.value):
            self._report(written.problem(objection))
        return written

    def _seeds(self, table: Mapping[str, Any], path: TomlPath) -> Sequence[int]:
        """Return the seeds that *table* asks for, none where it doesn't say."""
        repeats, seeds = table.get("repeats"), table.get("seeds")
        if repeats is not None and seeds is not None:
            self._problem((*path, "repeats"), "stands beside seeds; write one of the two")
        elif repeats is not None:
            if _is_whole(repeats, 1):
                return range(repeats)
            self._problem((*path, "repeats"), f"{show_toml(repeats)} is not a whole number from 1")
        elif seeds is not None:
            is_list = isinstance(seeds, list) and seeds and all(_is_whole(s, 0) for s in seeds)
            if is_list and len(set(seeds)) == len(seeds):
                return list(seeds)
            wanted = "names a seed twice" if is_list else "is not a list of whole numbers from 0"
            self._problem((*path, "seeds"), f"{show_toml(seeds)} {wanted}; write seeds = [0, 1, 2]")
        return []

    def _timeout(self, table: Mapping[str, Any], path: TomlPath) -> float | None:
        """Return the seconds that *table* allows, None where it doesn't say."""
        if "timeout" not in table:
            return None
        seconds = parse_seconds(table["timeout"])
        if seconds is None:
            wrong = f'{show_toml(table["timeout"])} is no duration; write "60s", "5min" or "2h"'
            self._problem((*path, "timeout"), wrong)
        return seconds

    def _block(self, kind: Kind, path: TomlPath, table: dict[str, Any], whole: Block) -> Block:
        """Read one block; the seeds and the timeout of *whole* stand in for its own."""
        before = len(self.problems)
        rivals = {(RIVALS[keys[0]],) for keys in self.overrides if keys[0] in RIVALS}
        settled = {*self.overrides, *rivals}
        settings = {
            keys: written
            for keys, written in self._settings(path, table).items()
            if not any(keys[: len(overruled)] == overruled for overruled in settled)
        }
        lengths = {
            ".".join(keys): len(written.value)
            for keys, written in settings.items()
            if kind == "zip" and isinstance(written.value, list)
        }
        if len(set(lengths.values())) > 1:
            told = printable(", ".join(f"{key} has {size}" for key, size in lengths.items()), 200)
            wanted = "the axes are walked together and need equal lengths"
            self._problem(path, f"{wanted}, but {told}")
            settings = {}
        axes = {
            keys: [written] if kind == "point" else self._choices(path, keys, written)
            for keys, written in settings.items()
        }
        block = Block(
            kind=kind,
            place=self._written(path, None).place,
            template=self._template(table, path),
            seeds=self.seeds or self._seeds(table, path) or whole.seeds,
            axes={keys: choices for keys, choices in axes.items() if choices},
            timeout=self._timeout(table, path) or whole.timeout,
        )
        return block if len(self.problems) == before else replace(block, sound=False)

    def _choices(self, path: TomlPath, keys: Keys, written: Written) -> Sequence[Written]:
        """Return the values along an axis: those of a list, or the one that isn't a list."""
        if not isinstance(written.value, list):
            return [written]
        if not written.value:
            self._report(written.problem("is an empty axis; write at least one value"))
        return [
            self._written((*path, *keys, index), value) for index, value in enumerate(written.value)
        ]

    def _exclude(self, path: TomlPath, table: dict[str, Any]) -> dict[Keys, Written]:
        """Return what a rule asks for; nothing where it is not clear what that is."""
        before = len(self.problems)
        if not table:
            self._problem(path, "drops everything; name at least one setting")
        rule = self._settings(path, table, _DERIVED)
        for keys, written in rule.items():
            if objection := _objection_to_excluded(keys, written.value):
                self._report(written.problem(objection))
        return rule if len(self.problems) == before else {}

    def _settings(
        self, path: TomlPath, table: Mapping[str, Any], derived: Sequence[str] = ()
    ) -> dict[Keys, Written]:
        """Return the settings of a table, flattened; keys that are none become problems."""
        beside = _BESIDE if path[0] in KINDS else ()
        found: dict[Keys, Written] = {}
        for key, value in table.items():
            for keys, leaf in _leaves((key,), value):
                written = self._written((*path, *keys), leaf)
                if key in derived:
                    found[keys] = written
                elif key in beside:
                    continue
                elif objection := _objection_to_key(keys, derived):
                    self._report(written.problem(objection))
                elif (rival := RIVALS.get(key)) and (rival,) in found:
                    self._report(written.problem(f"stands beside {rival}; write one of the two"))
                else:
                    found[keys] = written
        return found

    def _written(self, path: TomlPath, value: Any) -> Written:
        keys = [show_key(key) for key in path if isinstance(key, str)]
        place = Place(str(self.path), self.document.line(path))
        return Written(value, place, ".".join(keys))

    def _problem(self, path: TomlPath, message: str) -> None:
        self._report(self._written(path, None).problem(message))

    def _report(self, problem: Problem) -> None:
        self.problems.append(problem)
        if len(self.problems) >= MAX_PROBLEMS:
            last = replace(problem, setting="", message="has more mistakes; mend these first")
            raise InputError([*self.problems, last])


def _leaves(keys: Keys, value: Any) -> Iterator[tuple[Keys, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves((*keys, key), inner)
    else:
        yield keys, value


def _objection_to_member(folder: Path, name: Any) -> str | None:
    if not isinstance(name, str) or not name or not name.isprintable():
        return 'is no file name; write grids = ["epochs.toml"]'
    if os.path.isfile(folder / name):  # noqa: PTH113 - Path.is_file raises where it may not look
        return None
    hint = "; ~ is not expanded here, so write the path from that folder"
    return f"is no file in {printable(str(folder))}{hint if name.startswith('~') else ''}"


def _is_whole(value: Any, least: int) -> bool:
    return type(value) is int and least <= value < 2**31


def _unknown_at_top(key: str) -> str:
    if key in SETTINGS:
        return "stands outside of a table; write it below [base]"
    if key == "seed":
        return "no such key; write seeds = [0, 1, 2]"
    if key == "depth":
        return "follows from hidden_units; write those below [base]"
    return f"no such key{or_near_match(key, _TOP_LEVEL, 'there are')}"


def _objection_to_key(keys: Keys, derived: Sequence[str] = ()) -> str | None:
    """Return what is wrong with a setting's dotted key."""
    setting, *rest = keys
    if setting == "seed":
        return "no such setting; write seeds = [0, 1, 2] at the top of the file"
    if setting in _BESIDE:
        return "no setting; it stands at the top of the file, or in [grid], [[zip]] or [[point]]"
    if setting not in SETTINGS and setting not in derived and objection_to(keys) is None:
        return "follows from hidden_units; write those"
    if setting == "optimizer_args" and rest and rest[0] in RESERVED_ARGUMENTS:
        return f"{rest[0]} does not belong here: {RESERVED_ARGUMENTS[rest[0]]}"
    return objection_to(keys)


def _objection_to_excluded(keys: Keys, value: Any) -> str | None:
    """Return what is wrong with a value in a rule, which would otherwise never match."""
    choices = value if isinstance(value, list) else [value]
    if keys == ("hidden_units",) and not all(isinstance(choice, list) for choice in choices):
        choices = [value]  # one network
    objections = (_objection_to_choice(keys, choice) for choice in choices)
    return next(filter(None, objections), None)


def _objection_to_choice(keys: Keys, value: Any) -> str | None:
    setting, *rest = keys
    if setting == "optimizer_args":
        return None
    if setting == "name":
        wrong = not isinstance(value, str) and 'no name; write a pattern as in "units_*"'
    elif setting == "depth" or rest:
        wrong = not _is_whole(value, 0) and "not a whole number"
    else:
        wrong = not _is_value(setting, value) and f"not {SETTINGS[setting].about.expects}"
    return f"{show_toml(value)} is {wrong}" if wrong else objection_to_name(setting, value)


def _is_value(setting: str, value: Any) -> bool:
    try:
        Experiment(name="any", **{setting: value})
    except ValidationError as error:  # with a place where the value itself is wrong
        return not any(details["loc"] for details in error.errors())
    return True
