import tomllib
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmgrid.grid.documents import MAX_DEPTH, Document, TomlPath, UnreadableError, parse


def paths(value: Any, path: TomlPath = ()) -> Iterator[TomlPath]:
    """Yield the path of everything inside of a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from paths(item, (*path, key))


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param("a = 1\n\n\nb = 2\n", {("a",): 1, ("b",): 4}, id="plain settings"),
        pytest.param(
            "\n[a]\nb = 1\n[c]\nb = 2",
            {("a",): 2, ("a", "b"): 3, ("c",): 4, ("c", "b"): 5},
            id="tables",
        ),
        pytest.param(
            "[a.b]\nc = 1\n[a]\nd = 2\n",
            {("a",): 1, ("a", "b"): 1, ("a", "b", "c"): 2, ("a", "d"): 4},
            id="a table within another, which has the line of the first",
        ),
        pytest.param(
            "a.b.c = 1\na.b.d = 2\n",
            {("a",): 1, ("a", "b"): 1, ("a", "b", "c"): 1, ("a", "b", "d"): 2},
            id="dotted keys",
        ),
        pytest.param(
            'a . \'b.c\' . "d\\u0065" = 1\n["e ".f]\n',
            {("a",): 1, ("a", "b.c"): 1, ("a", "b.c", "de"): 1, ("e ",): 2, ("e ", "f"): 2},
            id="quoted keys",
        ),
        pytest.param(
            "'' = 1\n1.2 = 3\n-_- = 4\ntrue = 5\n2020-01-01 = 6\n",
            {("",): 1, ("1",): 2, ("1", "2"): 2, ("-_-",): 3, ("true",): 4, ("2020-01-01",): 5},
            id="odd keys",
        ),
        pytest.param(
            "a = [\n  1, # one\n\n  # none\n  [2,\n  3],\n]\nb = 4\n",
            {("a",): 1, ("a", 0): 2, ("a", 1): 5, ("a", 1, 0): 5, ("a", 1, 1): 6, ("b",): 8},
            id="nested arrays with comments",
        ),
        pytest.param(
            "a = { b = 1, c = [\n2,\n{ d = 3 } ] }\n",
            {
                ("a",): 1,
                ("a", "b"): 1,
                ("a", "c"): 1,
                ("a", "c", 0): 2,
                ("a", "c", 1): 3,
                ("a", "c", 1, "d"): 3,
            },
            id="inline tables",
        ),
        pytest.param(
            "[[a]]\nb = 1\n[a.c]\nd = 2\n[[a]]\n[[a.e]]\n[[a.e]]\nf = 3\n[a.c]\nd = 4\n",
            {
                ("a",): 1,
                ("a", 0): 1,
                ("a", 0, "b"): 2,
                ("a", 0, "c"): 3,
                ("a", 0, "c", "d"): 4,
                ("a", 1): 5,
                ("a", 1, "e"): 6,
                ("a", 1, "e", 0): 6,
                ("a", 1, "e", 1): 7,
                ("a", 1, "e", 1, "f"): 8,
                ("a", 1, "c"): 9,
                ("a", 1, "c", "d"): 10,
            },
            id="arrays of tables with tables in them",
        ),
        pytest.param(
            "a = '''\n[b]\nc = 1\n'''\nd = \"\"\"\\\n  x\"\"\"\ne = 1 # f = 2\n# g = 3\nh = 4",
            {("a",): 1, ("d",): 5, ("e",): 7, ("h",): 9},
            id="text over several lines, and comments",
        ),
        pytest.param(
            "a = 1\r\n[b]\r\nc = [\r\n  1,\r\n  2]\r\n",
            {("a",): 1, ("b",): 2, ("b", "c"): 3, ("b", "c", 0): 4, ("b", "c", 1): 5},
            id="Windows line ends",
        ),
        pytest.param(
            "a = 'é 漢字 🎲'\n'ключ' = [ 'ü', # ö\n 1 ]\nb = 2\n",
            {("a",): 1, ("ключ",): 2, ("ключ", 0): 2, ("ключ", 1): 3, ("b",): 4},
            id="text of all the world",
        ),
        pytest.param(
            "# \x0c\u2028\x85\na = '\u2028'\nb = 1\n".replace("\x0c", ""),
            {("a",): 2, ("b",): 3},
            id="what Python takes for line ends and TOML does not",
        ),
        pytest.param("", {}, id="nothing"),
    ],
)
def test_everything_has_the_line_that_it_begins_on(text: str, lines: dict[TomlPath, int]) -> None:
    assert parse(text).lines == lines
    assert set(lines) == set(paths(tomllib.loads(text)))


def test_values_are_those_of_tomllib() -> None:
    text = "a = [1, 2.5, true, 'x', 2020-01-01, 07:32:00]\n[b]\nc = 0xff\n"

    assert parse(text).values == tomllib.loads(text)


def test_what_has_no_line_takes_that_of_the_thing_around_it() -> None:
    document = parse("\n[a]\nb = [1,\n2]\n")

    assert document.line(("a", "b", 7, "c")) == 3
    assert document.line(("a", "c")) == 2
    assert document.line(("d",)) is None


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        pytest.param("a = 1\nb = x\n", "invalid value", 2, id="in a line"),
        pytest.param("a = 1\nb = [\n\n", "invalid value", 2, id="at the end, after empty lines"),
        pytest.param("a = '''x\ny", "expected \"'''\"", 2, id="at the end of a line"),
        pytest.param("a = 1\r\nb = x\r\n", "invalid value", 2, id="with Windows line ends"),
        pytest.param("# \u2028\n# \x85\na = [", "invalid value", 3, id="with odd line ends"),
        pytest.param("a = 1\n" + "9" * 5000 + " = " + "9" * 5000, "a number has", 2, id="digits"),
        pytest.param("\n" + "a." * 30 + "b = 1", "a key has over 20 parts", 2, id="a long key"),
        pytest.param("a = 1\n[b\n", "expected ']'", 2, id="an open header"),
    ],
)
def test_what_is_not_toml_is_told_with_its_line(text: str, message: str, line: int) -> None:
    with pytest.raises(UnreadableError) as caught:
        parse(text)

    assert str(caught.value).startswith(f"not TOML: {message}")
    assert caught.value.line == line


def test_nesting_has_a_limit() -> None:
    deepest = "a = " + "[" * (MAX_DEPTH - 1) + "0" + "]" * (MAX_DEPTH - 1)

    assert len(max(parse(f"x = 1\n{deepest}").lines, key=len)) == MAX_DEPTH
    with pytest.raises(UnreadableError, match="nested over 20 deep"):
        parse(deepest.replace("0", "[0]"))


KEYS = st.one_of(
    st.sampled_from(["a", "b", "c", "epochs", "1", "-"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
)
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.dates(min_value=date(1000, 1, 1)),
    st.times(),
    st.datetimes(min_value=datetime(1000, 1, 1)),
)


class Writer:
    """Writes a TOML document in a way that is drawn, noting the line of everything in it."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.text = ""
        self.lines: dict[TomlPath, int] = {}
        self.values: dict[str, Any] = {}

    @property
    def line(self) -> int:
        return self.text.count("\n") + 1

    def chance(self) -> bool:
        return self.data.draw(st.booleans())

    def note(self, path: TomlPath) -> None:
        self.lines.setdefault(path, self.line)

    def space(self) -> None:
        """Write what may stand between statements or the items of an array."""
        for _ in range(self.data.draw(st.integers(0, 2))):
            self.text += self.data.draw(
                st.sampled_from(["\n", "  ", "\t", "# é ] } '''\n", "\r\n", '# "a" = [\n'])
            )

    def document(self) -> None:
        self.space_before_statement()
        for key in self.fresh_keys():
            self.pair((), key, self.values)
        for key in self.fresh_keys():
            if self.chance():
                self.table((key,), self.values.setdefault(key, {}))
            else:
                self.tables((key,), self.values.setdefault(key, []))

    def fresh_keys(self) -> list[str]:
        keys = self.data.draw(st.lists(KEYS, max_size=3, unique=True))
        return [key for key in keys if key not in self.values]

    def space_before_statement(self) -> None:
        self.space()
        if self.text and not self.text.endswith("\n"):
            self.text += "\n"

    def table(self, path: TomlPath, values: dict[str, Any]) -> None:
        self.space_before_statement()
        self.note(path)
        self.text += f"[{self.dotted(path)}]\n"
        self.pairs(path, values)

    def tables(self, path: TomlPath, values: list[Any]) -> None:
        for index in range(self.data.draw(st.integers(1, 3))):
            self.space_before_statement()
            self.note(path)
            self.note((*path, index))
            self.text += f"[[{self.dotted(path)}]]\n"
            values.append({})
            self.pairs((*path, index), values[index])
            name = self.data.draw(KEYS)
            if name not in values[index]:
                inner = values[index].setdefault(name, {})
                self.table_below((*path, index, name), path, name, inner)

    def table_below(
        self, path: TomlPath, header: TomlPath, name: str, values: dict[str, Any]
    ) -> None:
        self.space_before_statement()
        self.note(path)
        self.text += f"[{self.dotted((*header, name))}]\n"
        self.pairs(path, values)

    def pairs(self, path: TomlPath, values: dict[str, Any]) -> None:
        for key in self.data.draw(st.lists(KEYS, max_size=3, unique=True)):
            self.space_before_statement()
            self.pair(path, key, values)

    def pair(self, path: TomlPath, key: str, values: dict[str, Any]) -> None:
        self.space_before_statement()
        self.note((*path, key))
        if self.chance():  # a = ...
            self.text += f"{self.key(key)} = "
            values[key] = self.value((*path, key), 2)
        else:  # a.b = ...
            inner = self.data.draw(KEYS)
            self.note((*path, key, inner))
            self.text += f"{self.key(key)} . {self.key(inner)} = "
            values[key] = {inner: self.value((*path, key, inner), 1)}
        self.text += self.data.draw(st.sampled_from(["\n", "\r\n", " # é = 1\n"]))

    def value(self, path: TomlPath, depth: int) -> Any:
        kind = self.data.draw(st.integers(0, 3)) if depth else 0
        if kind == 1:
            return self.array(path, depth)
        if kind == 2:
            return self.inline_table(path, depth)
        scalar = self.data.draw(SCALARS)
        self.text += self.scalar(scalar)
        return scalar

    def array(self, path: TomlPath, depth: int) -> list[Any]:
        values = []
        self.text += "["
        for index in range(self.data.draw(st.integers(0, 3))):
            self.space()
            self.note((*path, index))
            values.append(self.value((*path, index), depth - 1))
            self.space()
            self.text += ","
        self.space()
        self.text += "]"
        return values

    def inline_table(self, path: TomlPath, depth: int) -> dict[str, Any]:
        values = {}
        self.text += "{"
        for index, key in enumerate(self.data.draw(st.lists(KEYS, max_size=2, unique=True))):
            self.text += ", " if index else " "
            self.note((*path, key))
            self.text += f"{self.key(key)} = "
            values[key] = self.value((*path, key), depth - 1)
        self.text += " }"
        return values

    def dotted(self, path: TomlPath) -> str:
        return " . ".join(self.key(key) for key in path if isinstance(key, str))

    def key(self, key: str) -> str:
        if key and all(c.isascii() and (c.isalnum() or c in "-_") for c in key) and self.chance():
            return key
        return quoted(key)

    def scalar(self, value: Any) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, date | time):
            return value.isoformat()
        if isinstance(value, str):
            if self.chance() and "\\" not in value:
                text = "".join(
                    c if c in "\n\t" or c.isprintable() else f"\\U{ord(c):08x}" for c in value
                )
                return '"""\n' + text.replace('"', '\\"') + '"""'
            return quoted(value)
        return repr(value)


def quoted(text: str) -> str:
    escaped = (c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in text)
    return f'"{"".join(escaped)}"'


@given(st.data())
def test_every_value_of_any_document_has_its_line(data: st.DataObject) -> None:
    writer = Writer(data)
    writer.document()

    document = parse(writer.text)

    assert document.values == writer.values
    assert document.lines == writer.lines
    assert set(document.lines) == set(paths(document.values))


@given(st.text(st.sampled_from("ab[]{}\"'=.,#\n\r 1-é\\"), max_size=40))
def test_whatever_tomllib_reads_has_lines_within_the_text(text: str) -> None:
    try:
        document = parse(text)
    except UnreadableError as error:
        refused = error.line
        document = Document({}, {})
    else:
        refused = None

    assert refused is None or 1 <= refused <= text.count("\n") + 1
    assert set(document.lines) >= set(paths(document.values))
    assert all(1 <= line <= text.count("\n") + 1 for line in document.lines.values())
