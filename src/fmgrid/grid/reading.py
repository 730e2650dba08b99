"""Grid files and --set -> blocks, checked as far as possible without expanding them.

Problems are collected in a list that the caller passes in. A part with a problem is left out,
and reading goes on: a user sees all problems at once.
"""

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from fmgrid.errors import InputError, Place, Problem
from fmgrid.grid.blocks import (
    BLOCKS,
    MAX_TITLE,
    NAME,
    WHERE,
    Block,
    BlockKind,
    Grid,
    RealPath,
    Written,
    is_whole,
    overlay,
    overrules,
)
from fmgrid.grid.documents import Document, TomlPath, UnreadableError, parse, read_document
from fmgrid.grid.names import check_template
from fmgrid.hypotheses.conditions import parse_conditions
from fmgrid.hypotheses.language import ExpectationError
from fmgrid.settings import (
    SETTINGS,
    Keys,
    layer_of,
    leaves,
    meant_by,
    objection_to,
    or_meant,
    show_key,
    show_toml,
)
from fmgrid.words import parse_seconds, printable

MAX_PROBLEMS = 1_000  # in one file; nobody reads on from there

_MOST_SEEDS = 10_000  # of a span such as 0-9
_LARGEST_SEED = 2**31 - 1  # that an experiment takes

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
    """Return the file as a `Grid`, None if it cannot be read."""
    try:
        document = read_document(path)
        return _Reader(path, document, overrides, seeds, problems, len(problems)).read()
    except UnreadableError as error:
        problems.append(Problem(Place(str(path), error.line), "", str(error)))
        return None


def read_overrides(texts: Iterable[str], problems: list[Problem]) -> dict[Keys, Written]:
    """Read --set "setting=value", the value as TOML writes it; bare words need no quotes."""
    overrides: dict[Keys, Written] = {}
    for text in texts:
        key, equals, word = text.partition("=")
        keys = tuple(part.strip() for part in key.split("."))
        value = _toml_value(word.strip())
        if keys == NAME and not isinstance(value, str):
            value = word.strip()  # a name that looks like a number
        written = Written(value, Place(f"--set {printable(text, 100)}"), "")
        if objection := _objection_to_override(keys, equals, word.strip(), value):
            problems.append(written.problem(objection))
        else:
            overrides = overlay(overrides, {keys: written})
    return overrides


def read_seeds(text: str) -> list[int]:
    """Read seeds such as "0,1,2" or "0-9", each once. Raises `InputError`."""
    # Leading zeros are left out, because int() refuses numbers of thousands of digits.
    pattern = r"\s*0*([0-9]{1,10})(?:\s*-\s*0*([0-9]{1,10}))?\s*"
    matches = [re.fullmatch(pattern, word) for word in text.split(",")]
    ends = [(int(match[1]), int(match[2] or match[1])) for match in matches if match]
    spans = [range(first, last + 1) for first, last in ends if last - first < _MOST_SEEDS]
    seeds = [seed for span in spans for seed in span]
    if len(spans) == len(matches) and all(spans) and max(seeds) <= _LARGEST_SEED:
        return list(dict.fromkeys(seeds))
    problem = f"is not a list of whole numbers from 0 to {_LARGEST_SEED}; write --seeds 0,1,2"
    raise InputError.at(f"--seeds {printable(text, 100)}", problem)


def _objection_to_override(keys: Keys, equals: str, word: str, value: Any) -> str | None:
    if not equals:
        return "has no value; write --set setting=value"
    if keys[0] in ("seed", "seeds", "repeats", "timeout"):
        return "is no setting; write --seeds 0,1,2 or --timeout 60s"
    if keys == NAME:
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


def _objection_to_seeds(value: Any) -> str | None:
    is_list = isinstance(value, list) and value and all(is_whole(seed, 0) for seed in value)
    if is_list and len(set(value)) == len(value):
        return None
    wanted = "is not a list of different whole numbers from 0; write seeds = [0, 1, 2]"
    return f"{show_toml(value)} {wanted}"


def _objection_to_number(value: Any, least: int = 0) -> str | None:
    wrong = f"{show_toml(value)} is not a whole number from {least}"
    return None if is_whole(value, least) else wrong


def _objection_to_title(value: Any) -> str | None:
    if isinstance(value, str) and value.strip() and value.isprintable() and len(value) <= MAX_TITLE:
        return None
    wanted = f"is not one line of text with at most {MAX_TITLE} characters"
    return f'{show_toml(value)} {wanted}; write title = "Widths of layers"'


def _objection_to_conditions(value: Any) -> str | None:
    try:
        _ = isinstance(value, str) and parse_conditions(value)
    except ExpectationError as error:
        return str(error)
    return None if isinstance(value, str) else f"{show_toml(value)} is not text in quotes"


def _objection_to_sample(value: Any) -> str | None:
    if is_whole(value, 1):
        return None
    return f"{show_toml(value)} is not a number of combinations; write sample = 40"


def _objection_to_timeout(value: Any) -> str | None:
    if parse_seconds(value) is not None:
        return None
    return f'{show_toml(value)} is no duration; write "60s", "5min" or "2h"'


# What stands beside the settings of a block, or at the top of the file for all blocks.
_HEADER: dict[str, Callable[[Any], str | None]] = {
    "name": check_template,
    "seeds": _objection_to_seeds,
    "repeats": partial(_objection_to_number, least=1),
    "timeout": _objection_to_timeout,
    "title": _objection_to_title,
}
# What stands beside the settings of some blocks only: in which of them, and its check.
_OF_BLOCKS: Mapping[str, tuple[str, Callable[[Any], str | None]]] = {
    "only_if": ("[grid] or [[zip]], and is where in [[exclude]]", _objection_to_conditions),
    "sample": ("[grid]", _objection_to_sample),
    "sample_seed": ("[grid]", _objection_to_number),
    "where": ("[[exclude]], and is only_if in [grid] or [[zip]]", _objection_to_conditions),
}
_KEYS: Mapping[str, Mapping[str, Callable[[Any], str | None]]] = {
    "grid": _HEADER | {key: _OF_BLOCKS[key][1] for key in ("only_if", "sample", "sample_seed")},
    "zip": _HEADER | {"only_if": _objection_to_conditions},
    "point": _HEADER,
}
# What other programs call a grid
_OTHER_TABLES = {"experiment", "parameters", "params", "product", "search", "search_space", "sweep"}
# Settings of which a table has one, by what they say; depth and units go together.
_WAYS = {
    "train_steps": ("epoch", "train_steps"),
    "train_images": ("epoch", "train_images"),
    "repeats": ("seeds", "repeats"),
    "seeds": ("seeds", "seeds"),
    "hidden_units": ("widths", "hidden_units"),
    "depth": ("widths", "depth"),
    "units": ("widths", "depth"),
    "units1": ("widths", "units1"),
}
_TOP_LEVEL = (*_HEADER, "base", *BLOCKS, "exclude", "grids", "hypothesis")


@dataclass
class _Reader:
    """Turns a parsed document into a `Grid`."""

    path: Path
    document: Document
    overrides: Mapping[Keys, Written]
    seeds: Sequence[int] | None  # from the command line, which replace those in the document
    problems: list[Problem]
    before: int  # the number of problems of other files

    def read(self) -> Grid:
        """Read the whole document. Raises `UnreadableError` if it is empty."""
        values = self.document.values
        if not values:
            raise UnreadableError("spells out nothing; write [grid], [[point]] or [base]")
        for key in values:
            if key not in _TOP_LEVEL:
                self._problem((key,), _unknown_at_top(key))
        header = {key: value for key, value in values.items() if key in _HEADER}
        # What [base] alone spells out, and what other blocks start from.
        whole = self._block("point", (), header, Block("point", self._written(()).place))
        blocks = [
            self._block(kind, path, table, whole)
            for kind in BLOCKS
            for path, table in self._tables(kind)
        ]
        members = self._members()
        if not values.keys() & {*BLOCKS}:
            blocks = [whole] if "base" in values or "grids" not in values else []
        if members and not blocks:
            because = "says nothing of the files in grids, and there is no block beside them"
            for key in values.keys() & {*_HEADER, "exclude"}:
                self._problem((key,), f"{because}; write it in those files")
        excludes = []
        for path, table in self._tables("exclude"):
            if not table:
                self._problem(path, "drops everything; name at least one setting")
            rule = self._settings(path, table, ("name", "where"))
            conditions = _parsed(self._take(rule, {"where": _objection_to_conditions})["where"])
            excludes.append(rule | ({WHERE: conditions} if conditions else {}))
        return Grid(
            path=self.path,
            question=self.document.question,
            base=overlay(*(self._settings(*table) for table in self._tables("base"))),
            blocks=blocks,
            excludes=[rule for rule in excludes if rule],
            overrides=self.overrides,
            members=members,
            hypotheses=[
                self._written(path, {key: self._written((*path, key), table[key]) for key in table})
                for path, table in self._tables("hypothesis")
            ],
            sound=len(self.problems) == self.before,
        )

    def _members(self) -> dict[RealPath, Written]:
        """Return the paths of the files that this one takes in, relative to its folder."""
        names = self.document.values.get("grids")
        if names is None:
            return {}
        if not names or not isinstance(names, list):
            wrong = f'{show_toml(names)} is not a list of files; write grids = ["epochs.toml"]'
            self._problem(("grids",), wrong)
            return {}
        members: dict[RealPath, Written] = {}
        for index, name in enumerate(names):
            if objection := _objection_to_member(self.path.parent, name):
                self._problem(("grids", index), f"{show_toml(name)} {objection}")
            else:
                path = self.path.parent / name
                members.setdefault(os.path.realpath(path), self._written(("grids", index), path))
        return members

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

    def _block(
        self, kind: BlockKind, path: TomlPath, table: Mapping[str, Any], whole: Block
    ) -> Block:
        """Read one block; the name, seeds and timeout of *whole* stand in for its own."""
        before = len(self.problems)
        settings = self._settings(path, table, _KEYS[kind])
        header = self._take(settings, _KEYS[kind])
        settings = {
            keys: written
            for keys, written in settings.items()
            if not any(overrules(later, keys) for later in self.overrides)
        }
        lengths = {
            ".".join(keys): len(written.value)
            for keys, written in settings.items()
            if isinstance(written.value, list)
        }
        if kind == "zip" and len(set(lengths.values())) > 1:
            sizes = printable(", ".join(f"{key} has {size}" for key, size in lengths.items()), 200)
            self._problem(path, f"the axes are walked together and need equal lengths, but {sizes}")
            settings = {}
        axes = {
            keys: [written] if kind == "point" else self._choices(path, keys, written)
            for keys, written in settings.items()
        }
        if (sample_seed := header.get("sample_seed")) and "sample" not in table:
            self._report(sample_seed.problem("has no sample beside it; write sample = 40"))
        repeats, seeds, timeout = header["repeats"], header["seeds"], header["timeout"]
        own_seeds = range(repeats.value) if repeats else seeds.value if seeds else None
        return Block(
            kind=kind,
            place=self._written(path).place,
            template=header["name"] or whole.template,
            seeds=self.seeds or own_seeds or whole.seeds,
            timeout=parse_seconds(timeout.value) if timeout else whole.timeout,
            title=header["title"].value if header["title"] else whole.title,
            only_if=_parsed(header.get("only_if")),
            sample=header.get("sample"),
            sample_seed=sample_seed.value if sample_seed else 0,
            axes={keys: choices for keys, choices in axes.items() if choices},
            sound=len(self.problems) == before and whole.sound,
        )

    def _take(
        self, settings: dict[Keys, Written], checks: Mapping[str, Callable[[Any], str | None]]
    ) -> dict[str, Written | None]:
        """Take out of a table the keys that are checked, None where one is absent or wrong."""
        taken: dict[str, Written | None] = {}
        for key, check in checks.items():
            taken[key] = written = settings.pop((key,), None)
            if written and (objection := check(written.value)):
                self._report(written.problem(objection))
                taken[key] = None
        return taken

    def _choices(self, path: TomlPath, keys: Keys, written: Written) -> Sequence[Written]:
        """Return the values along an axis: those of a list, or the one that isn't a list."""
        if not isinstance(written.value, list):
            return [written]
        if not written.value:
            self._report(written.problem("is an empty axis; write at least one value"))
        return [
            self._written((*path, *keys, index), value) for index, value in enumerate(written.value)
        ]

    def _settings(
        self, path: TomlPath, table: Mapping[str, Any], extra_keys: Collection[str] = ()
    ) -> dict[Keys, Written]:
        """Return the settings of a table, flattened, and the *extra_keys* that may stand there."""
        settings: dict[Keys, Written] = {}
        first_ways: dict[str, tuple[str, str]] = {}  # by question: the way, and the key
        for key, value in table.items():
            question, way = _WAYS.get("units1" if layer_of(key) is not None else key, ("", ""))
            if question == "widths" and path[:1] == ("exclude",):  # all of them may hold
                way = question
            first_way, rival = first_ways.setdefault(question, (way, key))
            for keys, leaf in leaves((key,), value) if key in SETTINGS else [((key,), value)]:
                written = self._written((*path, *keys), leaf)
                if key not in extra_keys and (objection := _objection_to_key(keys)):
                    self._report(written.problem(objection))
                elif way != first_way:
                    self._report(written.problem(f"stands beside {rival}; write one of the two"))
                else:
                    settings[keys] = written
        return settings

    def _written(self, path: TomlPath, value: Any = None) -> Written:
        keys = [show_key(key) for key in path if isinstance(key, str)]
        place = Place(str(self.path), self.document.line(path) or 1)
        return Written(value, place, ".".join(keys))

    def _problem(self, path: TomlPath, message: str) -> None:
        self._report(self._written(path).problem(message))

    def _report(self, problem: Problem) -> None:
        self.problems.append(problem)
        if len(self.problems) - self.before >= MAX_PROBLEMS:
            raise UnreadableError("has more mistakes; mend these first", problem.place.line)


def _parsed(conditions: Written | None) -> Written | None:
    return conditions and replace(conditions, value=parse_conditions(conditions.value))


def _objection_to_member(folder: Path, name: Any) -> str | None:
    if not isinstance(name, str) or not name or not name.isprintable():
        return 'is no file name; write grids = ["epochs.toml"]'
    if os.path.isfile(folder / name):  # noqa: PTH113 - Path.is_file raises where it may not look
        return None
    hint = "; ~ is not expanded here, so write the path from that folder"
    return f"is no file in {printable(str(folder))}{hint if name.startswith('~') else ''}"


def _unknown_at_top(key: str) -> str:
    if meant := (key,) if objection_to((key,)) is None else meant_by(key):
        return f"stands outside of a table; write {'.'.join(meant)} below [base]"
    if key in _OF_BLOCKS:
        return f"stands outside of a table; it stands in {_OF_BLOCKS[key][0]}"
    if key.lower() in _OTHER_TABLES:
        return "no such key; write what varies below [grid], and the rest below [base]"
    return f"no such key{or_meant(key, _TOP_LEVEL)}"


def _objection_to_key(keys: Keys) -> str | None:
    """Return the objection to a setting's dotted key."""
    if keys[0] in _HEADER:
        return "no setting; it stands at the top of the file, or in [grid], [[zip]] or [[point]]"
    if keys[0] == "content":
        return "follows from the data; write dataset"
    if keys[0] in _OF_BLOCKS:
        return f"no setting; it stands in {_OF_BLOCKS[keys[0]][0]}"
    return objection_to(keys)
