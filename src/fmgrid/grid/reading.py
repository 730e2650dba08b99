"""Grid files and --set options -> blocks, with everything that shows without expanding them.

Problems are collected in a list that the caller passes in; what has one is left out, and
reading goes on, so that a user sees all of them at once.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fmgrid.components import RESERVED_ARGUMENTS, optimizer_signature
from fmgrid.errors import InputError, Place, Problem
from fmgrid.grid.blocks import KINDS, SETTINGS, Block, Grid, Keys, Kind, Written, show, takes
from fmgrid.grid.names import check_template
from fmgrid.grid.toml_lines import Document, TomlError, TomlPath, parse
from fmgrid.words import or_near_match

MAX_BYTES = 1_000_000

_TOP_LEVEL = ["name", "seeds", "repeats", "base", *KINDS, "exclude"]
_DERIVED = ["depth", "name"]  # what [[exclude]] may ask for besides settings


def grid_files(paths: Sequence[Path], problems: list[Problem]) -> list[Path]:
    """Return the files that *paths* mean, each once; a directory means the *.toml in it."""
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
        elif found := sorted(path.glob("*.toml")):
            files += found
        else:
            message = "holds no grids; name a grid file, or a folder with *.toml files in it"
            problems.append(Problem(Place(str(path)), "", message))
    return list(dict.fromkeys(files))


def read_grid(
    path: Path,
    overrides: Mapping[Keys, Written],
    seeds: Sequence[int] | None,
    problems: list[Problem],
) -> Grid | None:
    """Return what the file says, None if it isn't TOML at all."""
    try:
        document = parse(_read_text(path))
    except InputError as error:
        problems += error.problems
        return None
    except TomlError as error:
        problems.append(Problem(Place(str(path), error.line), "", f"not TOML: {error}"))
        return None
    return _Reader(path, document, overrides, problems).read(seeds)


def read_overrides(texts: Iterable[str], problems: list[Problem]) -> dict[Keys, Written]:
    """Read "setting=value", the value as TOML writes it; bare words need no quotes."""
    found: dict[Keys, Written] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        keys = tuple(part.strip() for part in key.split("."))
        written = Written(_toml_value(value.strip()), Place(f"--set {text}"), "")
        if objection := _objection_to_override(keys, equals, written.value):
            problems.append(written.problem(objection))
        else:
            found[keys] = written
    return found


def _objection_to_override(keys: Keys, equals: str, value: Any) -> str | None:
    if not equals:
        return "has no value; write --set setting=value"
    if keys[0] in ("seed", "seeds", "repeats"):
        return "seeds are given as --seeds 0,1,2"
    if keys == ("name",):
        return check_template(str(value))
    return _objection_to_key(keys)


def _toml_value(text: str) -> Any:
    try:
        values = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    return values["value"] if len(values) == 1 else text


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _refused(path, f"is larger than {MAX_BYTES:,} bytes; no grid needs to be")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise _refused(path, "no such file; name a grid file or a folder of them") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise _refused(path, "is not UTF-8 text; save it as UTF-8", line) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise _refused(path, f"cannot be read: {reason}") from error


def _refused(path: Path, message: str, line: int | None = None) -> InputError:
    return InputError([Problem(Place(str(path), line), "", message)])


class _Reader:
    """Turns a parsed document into a `Grid`."""

    def __init__(
        self,
        path: Path,
        document: Document,
        overrides: Mapping[Keys, Written],
        problems: list[Problem],
    ) -> None:
        self.path = path
        self.document = document
        self.overrides = overrides
        self.problems = problems

    def read(self, seeds: Sequence[int] | None) -> Grid:
        """Read the whole document; *seeds* from the command line replace those in it."""
        values = self.document.values
        for key in values:
            if key not in _TOP_LEVEL:
                self._problem((key,), _unknown_at_top(key))
        file_seeds = self._seeds(values, ()) or [0]
        blocks = [
            self._block(kind, path, table, (seeds, file_seeds))
            for kind in KINDS
            for path, table in self._tables(kind)
        ]
        if not any(kind in values for kind in KINDS):  # [base] alone is one experiment
            blocks = [Block("point", Place(str(self.path), 1), None, seeds or file_seeds, {})]
        return Grid(
            path=self.path,
            template=self._template(values, ()),
            base=self._base(),
            blocks=blocks,
            excludes=[self._exclude(*table) for table in self._tables("exclude")],
            overrides=self.overrides,
        )

    def _base(self) -> dict[Keys, Written]:
        table = self.document.values.get("base", {})
        if isinstance(table, dict):
            return self._settings(("base",), table)
        self._problem(("base",), f"{show(table)} is not a table; write [base]")
        return {}

    def _tables(self, kind: str) -> list[tuple[TomlPath, dict[str, Any]]]:
        """Return the tables of [kind] or several [[kind]], with their paths."""
        found = self.document.values.get(kind, [])
        if isinstance(found, dict):
            return [((kind,), found)]
        if isinstance(found, list) and all(isinstance(table, dict) for table in found):
            return [((kind, index), table) for index, table in enumerate(found)]
        self._problem((kind,), f"{show(found)} is not a table; write [{kind}] or [[{kind}]]")
        return []

    def _template(self, table: Mapping[str, Any], path: TomlPath) -> Written | None:
        if "name" not in table:
            return None
        written = self._written((*path, "name"), table["name"])
        if not isinstance(written.value, str):
            self.problems.append(written.problem(f"{show(written.value)} is not text in quotes"))
            return None
        if objection := check_template(written.value):
            self.problems.append(written.problem(objection))
            return None
        return written

    def _seeds(self, table: Mapping[str, Any], path: TomlPath) -> Sequence[int]:
        """Return the seeds that *table* asks for, none where it doesn't say."""
        repeats, seeds = table.get("repeats"), table.get("seeds")
        if repeats is not None and seeds is not None:
            self._problem((*path, "repeats"), "stands beside seeds; write one of the two")
        elif repeats is not None:
            if _is_whole(repeats, 1):
                return range(repeats)
            self._problem((*path, "repeats"), f"{show(repeats)} is not a whole number from 1")
        elif seeds is not None:
            is_list = isinstance(seeds, list) and seeds and all(_is_whole(s, 0) for s in seeds)
            if is_list and len(set(seeds)) == len(seeds):
                return list(seeds)
            wanted = "names a seed twice" if is_list else "is not a list of whole numbers from 0"
            self._problem((*path, "seeds"), f"{show(seeds)} {wanted}; write seeds = [0, 1, 2]")
        return []

    def _block(
        self,
        kind: Kind,
        path: TomlPath,
        table: dict[str, Any],
        seeds: tuple[Sequence[int] | None, Sequence[int]],
    ) -> Block:
        """Read one block; *seeds* are those that overrule it, if any, and those of the file."""
        axes = {
            keys: [written] if kind == "point" else self._choices(path, keys, written)
            for keys, written in self._settings(path, table).items()
            if not any(keys[: len(settled)] == settled for settled in self.overrides)
        }
        block = Block(
            kind=kind,
            place=self._written(path, None).place,
            template=self._template(table, path),
            seeds=seeds[0] or self._seeds(table, path) or seeds[1],
            axes={keys: choices for keys, choices in axes.items() if choices},
        )
        if kind == "zip":
            self._check_lengths(block)
        self._check_conditional(block)
        return block

    def _choices(self, path: TomlPath, keys: Keys, written: Written) -> Sequence[Written]:
        """Return the values along an axis: those of a list, or the one that isn't a list."""
        if not isinstance(written.value, list):
            return [written]
        if not written.value:
            self.problems.append(written.problem("is an empty axis; write at least one value"))
        whole = (*path, *keys)
        return [
            Written(value, self._written((*whole, index), None).place, written.setting)
            for index, value in enumerate(written.value)
        ]

    def _check_lengths(self, block: Block) -> None:
        axes = {keys: choices for keys, choices in block.axes.items() if len(choices) > 1}
        if len({len(choices) for choices in axes.values()}) > 1:
            told = ", ".join(f"{'.'.join(keys)} has {len(axes[keys])}" for keys in axes)
            message = f"axes that are walked together need equal lengths, and {told}"
            self.problems.append(Problem(block.place, "zip", message))
            block.axes.clear()  # type: ignore[attr-defined]

    def _check_conditional(self, block: Block) -> None:
        """Refuse an argument that none of the block's optimizers takes."""
        names = [written.value for written in block.axes.get(("optimizer",), ())]
        for keys in block.conditional:
            if not any(takes(name, keys[1]) for name in names):
                known = {
                    argument
                    for name in names
                    for argument in optimizer_signature(name).arguments
                    if argument not in RESERVED_ARGUMENTS
                }
                hint = or_near_match(keys[1], known, "they take")
                message = f"none of {', '.join(names)} takes {keys[1]}{hint}"
                self.problems.append(block.axes[keys][0].problem(message))

    def _exclude(self, path: TomlPath, table: dict[str, Any]) -> dict[Keys, Written]:
        if not table:
            self._problem(path, "drops everything; name at least one setting")
        return self._settings(path, table, _DERIVED)

    def _settings(
        self, path: TomlPath, table: Mapping[str, Any], derived: Sequence[str] = ()
    ) -> dict[Keys, Written]:
        """Return the settings of a table, flattened; keys that are none become problems."""
        beside = ("name", "seeds", "repeats") if path[0] in KINDS else ()
        found: dict[Keys, Written] = {}
        for key, value in table.items():
            for keys, leaf in _leaves((key,), value):
                written = self._written((*path, *keys), leaf)
                if key in derived:
                    found[keys] = written
                elif key in beside:
                    continue
                elif objection := _objection_to_key(keys, derived):
                    self.problems.append(written.problem(objection))
                else:
                    found[keys] = written
        return found

    def _written(self, path: TomlPath, value: Any) -> Written:
        place = Place(str(self.path), self.document.line(path))
        return Written(value, place, ".".join(key for key in path if isinstance(key, str)))

    def _problem(self, path: TomlPath, message: str) -> None:
        self.problems.append(self._written(path, None).problem(message))


def _leaves(keys: Keys, value: Any) -> Iterator[tuple[Keys, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves((*keys, key), inner)
    else:
        yield keys, value


def _is_whole(value: Any, least: int) -> bool:
    return type(value) is int and least <= value < 2**31


def _unknown_at_top(key: str) -> str:
    if key in SETTINGS:
        return "stands outside of a table; write it below [base]"
    if key == "seed":
        return "no such key; write seeds = [0, 1, 2]"
    return f"no such key{or_near_match(key, _TOP_LEVEL, 'there are')}"


def _objection_to_key(keys: Keys, derived: Sequence[str] = ()) -> str | None:
    """Return what is wrong with a setting's dotted key."""
    setting, *rest = keys
    if setting == "seed":
        return "no such setting; write seeds = [0, 1, 2] at the top of the file"
    if setting not in SETTINGS:
        return f"no such setting{or_near_match(setting, [*SETTINGS, *derived], 'there are')}"
    return _objection_to_part(setting, rest) if rest else None


def _objection_to_part(setting: str, rest: Sequence[str]) -> str | None:
    if setting == "hidden_units":
        is_index = len(rest) == 1 and re.fullmatch(r"[0-9]{1,4}", rest[0])
        return None if is_index else "is no layer; write hidden_units.0 for the first"
    if setting != "optimizer_args":
        return f"{setting} is one value; write {setting} = ..."
    if rest[0] in RESERVED_ARGUMENTS:
        return f"{rest[0]} does not belong here: {RESERVED_ARGUMENTS[rest[0]]}"
    return None
