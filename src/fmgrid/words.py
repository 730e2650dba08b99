"""Words for people: near matches, text that is safe to print, durations such as "90s", sizes."""

import math
import os
import re
import shlex
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import count, groupby

_LEAST_BEGINNING = 4  # characters that tell which word was begun
_LEAST_ROOM = 4  # characters for the part in which names differ
_LARGEST = 1e15  # seconds or bytes
_SECONDS = {"": 1, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600}
_BYTES = {"": 1, "b": 1} | {
    f"{letter}{unit}": base**power
    for power, letter in enumerate("kmgt", 1)
    for unit, base in (("", 1000), ("b", 1000), ("ib", 1024))
}


def or_near_match(word: str, known: Iterable[str], otherwise: str) -> str:
    """Return "; did you mean X?", or where no word is near "; *otherwise* A, B, C"."""
    words = sorted(known)
    if not words:
        return ""
    near = near_match(word, words)
    return f"; did you mean {near}?" if near else f"; {otherwise} {', '.join(words)}"


def near_match(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that *word* was probably meant to be, None where none is near.

    A word that begins another was cut short: "emnist" is emnist-letters, not mnist.
    """
    lowered = {candidate.lower(): candidate for candidate in known}
    longer = [candidate for candidate in lowered if candidate.startswith(word.lower())]
    if len(word) >= _LEAST_BEGINNING and longer:
        return lowered[min(longer, key=len)]
    near = get_close_matches(word.lower(), lowered, n=1)
    return lowered[near[0]] if near else None


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return "1 run", "3 runs", "1,200 runs"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def first_few(names: Sequence[str], limit: int = 6) -> str:
    """Return the first *limit* names, and the number of the others."""
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def there_are(names: Sequence[str], limit: int = 6) -> str:
    """Return "there is a" or "there are a, b and 3 more"."""
    verb = "is" if len(names) == 1 else "are"
    return f"there {verb} {first_few(names, limit) or 'none'}"


def show_ranges(numbers: Iterable[int]) -> str:
    """Return whole numbers in order, as "0-2,5"."""
    ordered = sorted({*numbers})
    # Of neighbours, the number less its place is the same.
    ranges = (
        [number for _, number in pairs]
        for _, pairs in groupby(enumerate(ordered), key=lambda pair: pair[1] - pair[0])
    )
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in ranges)


def printable(text: str, limit: int | None = None) -> str:
    """Return *text* on one line, escaped as in TOML, and shortened to *limit* characters.

    Without that, the text of a stranger's file could move a terminal's cursor.
    """
    short = text if limit is None or len(text) <= limit else f"{text[: limit - 3]}..."
    return "".join(c if c.isprintable() else _escaped(ord(c)) for c in short)


def _escaped(code: int) -> str:
    return f"\\u{code:04x}" if code < 2**16 else f"\\U{code:08x}"


def without_middle(text: str, limit: int) -> str:
    """Shorten a text to *limit* characters; names begin alike, and differ at their end."""
    if len(text) <= limit:
        return text
    kept = limit * 3 // 5
    return f"{text[:kept]}…{text[kept + 1 - limit :]}"


def shortened(names: Iterable[str], limit: int) -> dict[str, str]:
    """Return each name in at most *limit* characters, if possible, without making two equal.

    Names are cut in their middle. Those that would be equal then keep the part that differs.
    """
    distinct = list(dict.fromkeys(names))
    equals: dict[str, list[str]] = {}
    for name in distinct:
        equals.setdefault(without_middle(name, limit), []).append(name)
    shorts: dict[str, str] = {}
    for short, group in equals.items():
        shorts |= {group[0]: short} if len(group) == 1 else _keep_difference(group, limit)
    taken: set[str] = set()
    for name in sorted(distinct, key=lambda name: shorts[name] != name):  # whole names stay so
        if shorts[name] in taken:
            numbers = (f"{name[: max(0, limit - 5)]}…{number}" for number in count(2))
            shorts[name] = next(text for text in numbers if text not in taken)
        taken.add(shorts[name])
    return shorts


def _keep_difference(names: Sequence[str], limit: int) -> dict[str, str]:
    """Shorten names with the same beginning to what follows it."""
    begin = len(os.path.commonprefix(names))  # noqa: RUF071 - they are names, and no paths
    head = names[0][: min(begin, max(1, limit // 4))]
    room = limit - len(head) - 1
    if room < _LEAST_ROOM:
        return {name: without_middle(name, limit) for name in names}
    short = shortened([name[begin:] for name in names], room)
    return {name: f"{head}…{short[name[begin:]]}" for name in names}


def command_line(words: Iterable[str]) -> str:
    """Return a command as one types it into a shell."""
    return " ".join(map(_shell_word, words))


def _shell_word(text: str) -> str:
    """Quote a word for a shell, as $'...' if it holds what a page would not show."""
    if text.isprintable() and "  " not in text:
        return shlex.quote(text)
    letters = (
        letter
        if letter.isprintable() and letter not in "\\'"
        else "".join(f"\\x{byte:02x}" for byte in os.fsencode(letter))
        for letter in text
    )
    quoted = "".join(letters).replace("  ", r" \x20")
    return f"$'{quoted}'"


def parse_seconds(value: object) -> float | None:
    """Return the seconds of a number or a text such as "60s", None if it is no duration."""
    return _parse(value, _SECONDS)


def parse_bytes(value: object) -> int | None:
    """Return the bytes of a number or a text such as "2GB", None if it is no size."""
    size = _parse(value, _BYTES)
    return None if size is None or size < 1 else int(size)


def format_bytes(size: int) -> str:
    """Return a size as people write it: 812 bytes, 20 kB, 1.5 GB."""
    if size < 1000:  # noqa: PLR2004 - the unit is a thousand
        return counted(size, "byte")
    power = min(int(math.log(size, 1000)), 4)
    return f"{size / 1000**power:.3g} {'kMGT'[power - 1]}B"


def _parse(value: object, units: dict[str, int]) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if not isinstance(value, str):
        return float(value) if 0 < value < _LARGEST else None
    match = re.fullmatch(r"\s*([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*([A-Za-z]*)\s*", value)
    if match is None or match[2].lower() not in units:
        return None
    quantity = float(match[1]) * units[match[2].lower()]
    return quantity if 0 < quantity < _LARGEST else None


def format_seconds(seconds: float) -> str:
    """Return a duration as people say it: 0.8 s, 42 s, 3 min 20 s, 2 h 05 min."""
    if seconds < 10:  # noqa: PLR2004 - below, the tenths matter
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
