"""What a grid expects of its results: the language of [[hypothesis]], read and written.

    expect    = chain | alike
    chain     = side ((">" side)+ | ("<" side)+) ["by" NUMBER]
    side      = NUMBER | term ["-" term]
    term      = [("best" | "mean" | "each") "of"] selection
    selection = NAME {"," NAME} | condition {"and" condition}
    condition = SETTING "=" VALUE | SETTING "in" "[" VALUE {"," VALUE} "]"
    alike     = "no" "difference" "greater" "than" NUMBER "among" selection

NAME is a bare word of letters, digits and _ . + * ? and, inside, -; or anything in quotes,
as a name must be that looks like a number or is a word of the language. * stands for any
text, ? for one character. VALUE is TOML's: text in quotes, a number, true, false or a list
of these. A minus stands between spaces. NUMBER, after "by" and "than", is from 0.

">" compares numbers as they are, those of losses too; "by" is the least difference that
counts. "best" is the highest of accuracies and the lowest of losses. Nothing is evaluated
here: an expectation is a value, which whoever has results can judge.
"""

import math
import re
import tomllib
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import translate
from functools import lru_cache
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, cast

from fmgrid.components import setting_as_taken
from fmgrid.errors import FmgridError
from fmgrid.experiment import Experiment, typed
from fmgrid.words import near_match, or_near_match, printable

MAX_CHARACTERS = 2_000
MAX_HYPOTHESES = 200  # of a grid; a family of more settles none of them
MAX_COMPARISONS = 20_000  # of a grid's hypotheses; they take a second, in a report two

# Every metric that a claim may be about, and whether higher is better.
METRICS: Mapping[str, bool] = MappingProxyType(
    {
        "accuracy": True,
        "best_accuracy": True,
        "test_accuracy": True,
        "valid_loss": False,
        "train_loss": False,
        "best_valid_loss": False,
        "test_loss": False,
        "overfitting_gap": False,  # valid_loss - train_loss
    }
)

Quantifier: TypeAlias = Literal["one", "best", "mean", "each"]
Sign: TypeAlias = Literal[">", "<"]


class ClaimError(FmgridError):
    """An expectation that cannot be read, or that no experiments can answer."""

    exit_code = 2


@dataclass(frozen=True)
class Condition:
    """A setting that has any of some values; lists are tuples."""

    setting: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Selection:
    """Experiments by name, with * and ?, or by conditions that must all hold."""

    names: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Term:
    """One number out of a selection's, or with "each" every one of them."""

    quantifier: Quantifier
    selection: Selection


@dataclass(frozen=True)
class Gain:
    """A difference: "epochs_10 - epochs_5"; either side is "one" or "mean"."""

    upper: Term
    lower: Term


@dataclass(frozen=True)
class Constant:
    """A number that the results are compared with."""

    value: float


Side: TypeAlias = Term | Gain | Constant


@dataclass(frozen=True)
class Chain:
    """Each side is greater, or with "<" less, than the next by more than *margin*."""

    sides: tuple[Side, ...]
    sign: Sign
    margin: float = 0.0


@dataclass(frozen=True)
class Alike:
    """No two of a selection differ by more than *limit*."""

    selection: Selection
    limit: float


Expectation: TypeAlias = Chain | Alike


@dataclass(frozen=True)
class Hypothesis:
    """A claim that was stated before the runs that it is about."""

    claim: str  # for people, one line
    expect: str  # as written
    metric: str
    expectation: Expectation  # resolved: exact names only
    place: str  # "configs/epochs.toml:18"


def parse_expectation(text: str) -> Expectation:
    """Return what *text* says. Raises `ClaimError` with the place and what to write."""
    if len(text) > MAX_CHARACTERS:
        told = f"has {len(text):,} characters, and {MAX_CHARACTERS:,} are the limit"
        raise ClaimError(f"{told}; split it into several hypotheses")
    return _Parser(text).expectation()


@lru_cache(maxsize=256)  # a report asks twice, and a text of many names takes its time
def read_resolved(text: str) -> Expectation:
    """Return what `to_text` wrote, of whatever length: what is resolved names every experiment.

    Raises `ClaimError` where that is no expectation.
    """
    expectation = _Parser(text).expectation()
    if any(selection.conditions for selection in selections(expectation)):
        raise ClaimError("has a condition where it should name experiments")
    return expectation


# Values of a setting, by their optimizer and what equals them.
Values: TypeAlias = dict[tuple[str, Hashable], Any]


class Experiments:
    """The experiments of a grid by name; what hypotheses select of them is looked up once."""

    def __init__(self, experiments: Iterable[Experiment]) -> None:
        self.by_name = {experiment.name: experiment for experiment in experiments}
        self.places = {name: place for place, name in enumerate(self.by_name)}
        self._matching: dict[str, frozenset[str]] = {}
        self._values: dict[str, Values] = {}

    def matching(self, name: str) -> frozenset[str]:
        """Return the names that a name with * and ? means. Raises `ClaimError` if it means none."""
        if name not in self._matching:
            self._matching[name] = frozenset(_matching(name, self.by_name))
        return self._matching[name]

    def values_of(self, setting: str) -> Values:
        """Return the values that experiments have of a setting, each once."""
        if setting not in self._values:
            self._values[setting] = _values_of(setting, self.by_name.values())
        return self._values[setting]


def resolve(
    expectation: Expectation, experiments: Experiments | Sequence[Experiment]
) -> Expectation:
    """Return *expectation* with the exact names of what it selects, in the order of the grid.

    Raises `ClaimError` for a selection of nothing, one that leaves open which number is
    meant, and for what is compared with itself.
    """
    by_name = experiments if isinstance(experiments, Experiments) else Experiments(experiments)
    if isinstance(expectation, Alike):
        names = _pick(expectation.selection, by_name)
        if len(names) == 1:
            told = _shown(_selection_text(expectation.selection))
            raise ClaimError(f"{told} is one experiment, which has nothing to differ from")
        return replace(expectation, selection=Selection(names))
    sides = tuple(_resolve_side(side, by_name) for side in expectation.sides)
    _check_not_itself(sides)
    return replace(expectation, sides=sides)


def selections(expectation: Expectation) -> Iterator[Selection]:
    """Yield every selection of an expectation, as they are written."""
    if isinstance(expectation, Alike):
        yield expectation.selection
        return
    for side in expectation.sides:
        for term in side_terms(side):
            yield term.selection


def count_comparisons(expectation: Expectation) -> int:
    """Return how many pairs a resolved expectation compares, each over the seeds of both."""
    if isinstance(expectation, Alike):
        number = len(expectation.selection.names)
        return number * (number - 1) // 2
    sizes = [
        len(side.selection.names)
        if isinstance(side, Term) and side.quantifier in ("best", "each")
        else 1
        for side in expectation.sides
    ]
    return sum(one * other for one, other in pairwise(sizes))


def check_size(comparisons: int) -> None:
    """Raise `ClaimError` for more comparisons than a grid's hypotheses may make together."""
    if comparisons > MAX_COMPARISONS:
        raise ClaimError(
            f"takes {comparisons:,} comparisons, with the hypotheses before it, and the limit of a "
            f"grid is {MAX_COMPARISONS:,}; write it about fewer experiments"
        )


def check_metric(metric: str, experiments: Sequence[Experiment]) -> None:
    """Raise `ClaimError` unless all *experiments* will have *metric*."""
    if metric not in METRICS:
        hint = or_near_match(metric, METRICS, "there are")
        raise ClaimError(f"{_shown(_quoted(metric))} is no metric{hint}")
    if not metric.startswith("test_"):
        return
    for experiment in experiments:
        if experiment.validation == "test":
            instead = "accuracy" if metric == "test_accuracy" else "valid_loss"
            raise ClaimError(
                f"{experiment.name} will have no {metric}, since it is validated on the test "
                f"images; write {instead}, or hold images out as in validation = 10000"
            )


def check_numbers(metric: str, expectation: Expectation) -> None:
    """Raise `ClaimError` for a percentage where *metric* is a fraction."""
    if not METRICS.get(metric):
        return
    for number in _numbers(expectation):
        if abs(number) > 1:
            raise ClaimError(
                f"{_number(number)} is no {metric}, which is a fraction; "
                f"write {_number(number / 100)} for {number:g} %"
            )


def to_text(expectation: Expectation) -> str:
    """Write an expectation so that `parse_expectation` reads the same again."""
    if isinstance(expectation, Alike):
        among = _selection_text(expectation.selection)
        return f"no difference greater than {_number(expectation.limit)} among {among}"
    text = f" {expectation.sign} ".join(map(side_text, expectation.sides))
    return f"{text} by {_number(expectation.margin)}" if expectation.margin else text


def side_text(side: Side) -> str:
    """Write one side of a comparison as it would stand in an expectation."""
    if isinstance(side, Constant):
        return _number(side.value)
    return " - ".join(
        ("" if term.quantifier == "one" else f"{term.quantifier} of ")
        + _selection_text(term.selection)
        for term in side_terms(side)
    )


_QUANTIFIERS: tuple[Quantifier, ...] = ("best", "mean", "each")
_WORDS = ("of", "and", "in", "by", "no", "difference", "greater", "than", "among")
_KEYWORDS = {*_QUANTIFIERS, *_WORDS}
_SETTINGS = {*Experiment.model_fields, "depth", "units1", "units2"} - {"name", "seed"}
_LAYER = re.compile(r"units([1-9][0-9]{0,3})|hidden_units\.(0|[1-9][0-9]{0,3})")
_ARGUMENT = re.compile(r"optimizer_args(\.\w+)+", re.ASCII)

_TOKEN = re.compile(
    r"""\s*(?:(?P<word>[A-Za-z0-9_.+*?-]+)
    | (?P<text>"(?:[^"\\]|\\.)*"|'[^']*')
    | (?P<sign>[<>=!]=|[<>=,\[\]])
    | (?P<end>\Z)
    | (?P<wrong>.))""",
    re.VERBOSE | re.DOTALL,
)
_BARE = re.compile(r"[A-Za-z0-9_*?](?:[A-Za-z0-9_.+*?-]*[A-Za-z0-9_.+*?])?")
_DIGITS = r"[0-9](?:_?[0-9])*"
_NUMBER = re.compile(rf"[+-]?(?:0|[1-9](?:_?[0-9])*)(\.{_DIGITS})?([eE][+-]?{_DIGITS})?")
_SHOWN_VALUES = 8
_SHOWN_NAMES = 3
_EXAMPLE = "as in epochs_10 > epochs_5"
_SPACES = "a minus stands between spaces, as in epochs_10 - epochs_5"
# What stands where it doesn't belong, and what was probably meant.
_HINTS = {
    ">=": 'write ">"',
    "<=": 'write "<"',
    "==": 'write "="',
    "!=": "there is no such comparison; write > or <",
    "%": "write 0.2 for 20 %",
    "+": 'write a least difference at the end, as in "by 0.01"',
    '"': "close the quotes",
    "'": "close the quotes",
    "(": "there are no brackets; write one comparison",
    "{": "write a table's values one by one, as in optimizer_args.momentum = 0.9",
    "-": "write one difference of two experiments, as in epochs_10 - epochs_5",
    "and": 'names are joined by ",", conditions by "and"; a selection has one or the other',
    ",": 'names are joined by ",", conditions by "and"; a selection has one or the other',
}


@dataclass(frozen=True)
class _Token:
    kind: str  # "word", "text", "sign" or "end"
    text: str
    at: int  # the character, from 1

    def error(self, message: str) -> ClaimError:
        """Return *message* as an error that names the token and where it stands."""
        if self.kind == "end":
            return ClaimError(f"ends too early; {message}")
        return ClaimError(f"{_shown(self.text)} at character {self.at}: {message}")


def _tokens(text: str) -> Iterator[_Token]:
    """Yield the words and signs of *text*, and its end."""
    position = 0
    while True:
        match = cast(re.Match[str], _TOKEN.match(text, position))  # some part of it always does
        kind = str(match.lastgroup)
        token = _Token(kind, match[kind], match.start(kind) + 1)
        if kind == "wrong" or token.text in (">=", "<=", "==", "!="):
            hint = _HINTS.get(token.text, "no such sign; put a name with other signs in quotes")
            raise token.error(hint)
        yield token
        if kind == "end":
            return
        position = match.end()


class _Parser:
    """Reads tokens from the left, one look ahead; a method for each rule of the grammar."""

    def __init__(self, text: str) -> None:
        self.rest = list(_tokens(text))[::-1]

    @property
    def next(self) -> _Token:
        """The token that is read next."""
        return self.rest[-1]

    def expectation(self) -> Expectation:
        """Read all of the text."""
        found = self._alike() if self._takes("no") else self._chain()
        if self.next.kind != "end":
            raise self._unexpected("nothing more is expected here")
        return found

    def _alike(self) -> Alike:
        for word in ("difference", "greater", "than"):
            if not self._takes(word):
                raise self.next.error("write no difference greater than 0.01 among a, b")
        limit = self._number_from_0("than")
        if not self._takes("among"):
            raise self.next.error("write among, and which experiments")
        return Alike(self._selection(), limit)

    def _chain(self) -> Chain:
        sides = [self._side()]
        first = self.next
        if first.text not in (">", "<") or first.kind != "sign":
            raise self._unexpected(f"write what it is compared with, {_EXAMPLE}")
        while self.next.kind == "sign" and self.next.text in (">", "<"):
            sign = self.rest.pop()
            if sign.text != first.text:
                raise sign.error(f'write "{first.text}" throughout, or two hypotheses')
            side_at = self.next
            sides.append(self._side())
            if isinstance(sides[-1], Constant) and isinstance(sides[-2], Constant):
                raise side_at.error(f"two numbers are compared; write a name, {_EXAMPLE}")
        margin = self._number_from_0("by") if self._takes("by") else 0.0
        return Chain(tuple(sides), cast(Sign, first.text), margin)

    def _side(self) -> Side:
        if self.next.kind == "word" and _NUMBER.fullmatch(self.next.text):
            return Constant(self._number())
        upper_at = self.next
        upper = self._term()
        if not self._takes("-"):
            return upper
        lower_at = self.next
        lower = self._term()
        for term, at in ((upper, upper_at), (lower, lower_at)):
            if term.quantifier not in ("one", "mean"):
                raise at.error('a difference is of single experiments or "mean of"; write those')
        return Gain(upper, lower)

    def _term(self) -> Term:
        for quantifier in _QUANTIFIERS:
            if self._takes(quantifier):
                if not self._takes("of"):
                    hint = f'write "{quantifier} of"; a name that is {quantifier} stands in quotes'
                    raise self.next.error(hint)
                return Term(quantifier, self._selection())
        return Term("one", self._selection())

    def _selection(self) -> Selection:
        if self._is_condition():
            conditions = [self._condition()]
            while self._takes("and"):
                if not self._is_condition():
                    raise self._unexpected("write a condition after and, as in epochs = 5")
                conditions.append(self._condition())
            return Selection(conditions=tuple(conditions))
        names = [self._name()]
        while self._takes(","):
            if self._is_condition():
                raise self.next.error(_HINTS[","])
            names.append(self._name())
        return Selection(tuple(names))

    def _is_condition(self) -> bool:
        after = self.rest[-2] if len(self.rest) > 1 else self.next
        return self.next.kind in ("word", "text") and (
            (after.kind, after.text) in (("sign", "="), ("word", "in"))
        )

    def _condition(self) -> Condition:
        token = self.rest.pop()
        if token.kind == "text":
            raise token.error("a setting stands without quotes")
        if objection := _objection_to_setting(token.text):
            raise ClaimError(f"{_shown(token.text)}: {objection}")
        if self._takes("="):
            return Condition(token.text, (self._value(),))
        self.rest.pop()
        if not self._takes("["):
            raise self.next.error("write a list after in, as in batch_size in [32, 64]")
        values = self._list(self._value)
        if not values:
            raise token.error("the list after in is empty; write at least one value")
        return Condition(token.text, values)

    def _list(self, item: Any) -> tuple[Any, ...]:
        """Read what follows a "[", as TOML has it: a last comma is allowed."""
        values = []
        while not self._takes("]"):
            values.append(item())
            if not self._takes(",") and self.next.text != "]":
                raise self.next.error('write "," between values and "]" after them')
        return tuple(values)

    def _value(self) -> Any:
        return self._list(self._scalar) if self._takes("[") else self._scalar()

    def _scalar(self) -> Any:
        token = self.next
        if token.kind == "word" and _NUMBER.fullmatch(token.text):
            number = self._number()
            return int(token.text) if re.fullmatch(r"[+-]?[0-9_]+", token.text) else number
        self.rest.pop()
        if token.kind == "text":
            return _unquoted(token)
        if token.kind == "word" and token.text in ("true", "false"):
            return token.text == "true"
        hint = f"text stands in quotes; write {_quoted(token.text)}"
        raise token.error(hint if token.kind == "word" else "write a value, as in batch_size = 64")

    def _name(self) -> str:
        token = self.rest.pop()
        if token.kind == "text":
            if name := _unquoted(token):
                return name
            raise token.error("a name is empty")
        if token.kind != "word":
            raise token.error(f"write a name or a condition, {_EXAMPLE}")
        if token.text == "-":
            raise token.error(_HINTS["-"])
        if token.text.startswith("-") or token.text.endswith("-"):
            raise token.error(_SPACES)
        if token.text in _KEYWORDS:
            raise token.error("a name is expected; this one would stand in quotes")
        if _NUMBER.fullmatch(token.text):
            raise token.error("a name is expected; one that looks like a number stands in quotes")
        if not _BARE.fullmatch(token.text):
            raise token.error("is no name, which begins with a letter, and no number as in 0.5")
        return token.text

    def _number_from_0(self, after: str) -> float:
        token = self.next
        if token.kind == "word" and _NUMBER.fullmatch(token.text):
            number = self._number()
            if number >= 0:
                return number
        raise token.error(f"write a number from 0 after {after}, as in {after} 0.01")

    def _number(self) -> float:
        token = self.rest.pop()
        number = float(token.text)
        if not math.isfinite(number):
            raise token.error("is too large a number")
        return number

    def _takes(self, text: str) -> bool:
        """Read on if the next token is this word or sign, and tell whether it was."""
        if self.next.text != text or self.next.kind not in ("word", "sign"):
            return False
        self.rest.pop()
        return True

    def _unexpected(self, message: str) -> ClaimError:
        token = self.next
        if token.kind == "word" and re.match(r"-[^0-9]|.+-$", token.text):
            return token.error(_SPACES)
        return token.error(message if token.kind == "text" else _HINTS.get(token.text, message))


def _objection_to_setting(word: str) -> str | None:
    if word == "optimizer_args":
        return "is a table; write one of its values, as in optimizer_args.momentum = 0.9"
    if word in _SETTINGS or _LAYER.fullmatch(word) or _ARGUMENT.fullmatch(word):
        return None
    if word == "seed":
        return "no such setting; a claim is about all seeds of an experiment"
    if word == "name":
        return "no such setting; write the name alone, as in epochs_5"
    return f"no such setting{or_near_match(word, _SETTINGS, 'there are')}"


def _unquoted(token: _Token) -> str:
    try:
        return str(tomllib.loads(f"text = {token.text}")["text"])
    except tomllib.TOMLDecodeError as error:
        reason = "no text as TOML writes it; put \\ twice, or use single quotes"
        raise token.error(reason) from error


def _resolve_side(side: Side, by_name: Experiments) -> Side:
    if isinstance(side, Constant):
        return side
    if isinstance(side, Term):
        return _resolve_term(side, by_name)
    return Gain(_resolve_term(side.upper, by_name), _resolve_term(side.lower, by_name))


def _resolve_term(term: Term, by_name: Experiments) -> Term:
    names = _pick(term.selection, by_name)
    if term.quantifier == "one" and len(names) > 1:
        raise ClaimError(
            f"{_shown(_selection_text(term.selection))} means {len(names)} experiments; "
            'write "best of", "mean of" or "each of" before it'
        )
    return replace(term, selection=Selection(names))


def _pick(selection: Selection, experiments: Experiments) -> tuple[str, ...]:
    """Return the names of what is selected. Raises `ClaimError` for what selects nothing."""
    if selection.names:
        chosen: set[str] = set()
        for name in selection.names:
            chosen |= experiments.matching(name)
        return tuple(sorted(chosen, key=experiments.places.__getitem__))
    for condition in selection.conditions:
        _check_values(condition, experiments.values_of(condition.setting))
    holding = [_holding(condition, experiments.by_name) for condition in selection.conditions]
    names = tuple(name for name in experiments.by_name if all(name in found for found in holding))
    if not names:
        told = _shown(_selection_text(selection))
        raise ClaimError(f"no experiment has {told} at once; write fewer conditions")
    return names


def _matching(name: str, by_name: Mapping[str, Experiment]) -> set[str]:
    if name in by_name:
        return {name}
    if "*" in name or "?" in name:
        pattern = re.compile(translate(name.replace("[", "[[]")))
        if found := {known for known in by_name if pattern.match(known)}:
            return found
    near = near_match(name, by_name)
    first = ", ".join(list(by_name)[:_SHOWN_NAMES])
    many = f"there are {len(by_name):,}, which begin with {first}"
    known = many if len(by_name) > _SHOWN_NAMES else f"there is only {first}"
    hint = f"did you mean {near}?" if near else known
    raise ClaimError(f"no experiment is called {_shown(_name_text(name))}; {hint}")


def _values_of(setting: str, experiments: Iterable[Experiment]) -> Values:
    """Return the values that experiments have of a setting, each once, in their order."""
    found: Values = {}
    for experiment in experiments:
        value = _setting(experiment, setting)
        if value is not None:
            found.setdefault((experiment.optimizer, typed(value)), value)
    return found


def _check_values(condition: Condition, there: Values) -> None:
    """Refuse a value that no experiment has: it is more often a slip than meant."""
    optimizers = {optimizer for optimizer, _ in there}
    for value in condition.values:
        one = Condition(condition.setting, (value,))
        if not any((name, key) in there for name in optimizers for key in _accepted(one, name)):
            known = dict.fromkeys(_shown(_value_text(known)) for known in there.values())
            shown = ", ".join(list(known)[:_SHOWN_VALUES])
            more = ", ..." if len(known) > _SHOWN_VALUES else ""
            hint = f"there are {shown}{more}" if known else "none sets it"
            raise ClaimError(f"no experiment has {_shown(_condition_text(one))}; {hint}")


def _accepted(condition: Condition, optimizer: str) -> frozenset[Hashable]:
    """Return what a setting with this optimizer must equal, so that the condition holds."""
    keys = condition.setting.split(".")
    taken = (setting_as_taken(optimizer, keys, value) for value in condition.values)
    return frozenset(map(typed, taken))


def _holding(condition: Condition, by_name: Mapping[str, Experiment]) -> set[str]:
    """Return the names of the experiments for which a condition holds."""
    optimizers = {experiment.optimizer for experiment in by_name.values()}
    accepted = {optimizer: _accepted(condition, optimizer) for optimizer in optimizers}
    return {
        name
        for name, experiment in by_name.items()
        if typed(_setting(experiment, condition.setting)) in accepted[experiment.optimizer]
    }


def _setting(experiment: Experiment, setting: str) -> Any:
    """Return the value of a setting, None where an experiment has no such layer or argument."""
    if layer := _LAYER.fullmatch(setting):
        index = int(layer[1]) - 1 if layer[1] else int(layer[2])
        units = experiment.hidden_units
        return units[index] if index < len(units) else None
    first, *keys = setting.split(".")
    value: Any = getattr(experiment, first)
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _check_not_itself(sides: Sequence[Side]) -> None:
    """Refuse what cannot hold whatever the results: that something exceeds itself."""
    seen: set[str] = set()
    for side in sides:
        if isinstance(side, Gain):
            if side.upper == side.lower:
                told = _shown(side_text(side.upper))
                raise ClaimError(f"subtracts {told} from itself; write two that differ")
        elif isinstance(side, Term) and side.quantifier in ("one", "each"):
            names = side.selection.names
            if again := next((name for name in names if name in seen), None):
                raise ClaimError(f"compares {again} with itself; write two that differ")
            seen |= set(names)
    for one, other in pairwise(sides):
        if one == other:
            told = _shown(side_text(one))
            raise ClaimError(f"compares {told} with itself; write two that differ")


def side_terms(side: Side) -> tuple[Term, ...]:
    """Return the terms that a side is made of; none of a number."""
    if isinstance(side, Gain):
        return side.upper, side.lower
    return (side,) if isinstance(side, Term) else ()


def _numbers(expectation: Expectation) -> list[float]:
    if isinstance(expectation, Alike):
        return [expectation.limit]
    constants = [side.value for side in expectation.sides if isinstance(side, Constant)]
    return [*constants, expectation.margin]


def _selection_text(selection: Selection) -> str:
    if selection.names:
        return ", ".join(map(_name_text, selection.names))
    return " and ".join(map(_condition_text, selection.conditions))


def _name_text(name: str) -> str:
    is_bare = _BARE.fullmatch(name) and not _NUMBER.fullmatch(name) and name not in _KEYWORDS
    return name if is_bare else _quoted(name)


def _condition_text(condition: Condition) -> str:
    values = ", ".join(map(_value_text, condition.values))
    if len(condition.values) == 1:
        return f"{condition.setting} = {values}"
    return f"{condition.setting} in [{values}]"


def _value_text(value: Any) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value_text, value))}]"
    return str(value)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{printable(escaped)}"'


def _number(value: float) -> str:
    return repr(value).removesuffix(".0")


def _shown(text: str) -> str:
    return printable(text, 80)
