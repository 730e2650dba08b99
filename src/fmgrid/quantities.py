"""Durations and sizes as people write them: "90s", "5min", "2GB"."""

import math
import re

_MOST = 1e15
_SECONDS = {"": 1, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600}
_BYTES = {"": 1, "b": 1} | {
    f"{letter}{unit}": base**power
    for power, letter in enumerate("kmgt", 1)
    for unit, base in (("", 1000), ("b", 1000), ("ib", 1024))
}


def parse_seconds(value: object) -> float | None:
    """Return the seconds of a number or a text such as "60s", None if it is no duration."""
    return _parse(value, _SECONDS)


def parse_bytes(value: object) -> int | None:
    """Return the bytes of a number or a text such as "2GB", None if it is no size."""
    size = _parse(value, _BYTES)
    return None if size is None or size < 1 else int(size)


def format_bytes(count: int) -> str:
    """Return a size as people write it: 812 bytes, 20 kB, 1.5 GB."""
    if count < 1000:  # noqa: PLR2004 - the unit is a thousand
        return f"{count} bytes"
    power = min(int(math.log(count, 1000)), 4)
    return f"{count / 1000**power:.3g} {'kMGT'[power - 1]}B"


def _parse(value: object, units: dict[str, int]) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if not isinstance(value, str):
        return float(value) if 0 < value < _MOST else None
    match = re.fullmatch(r"\s*([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*([A-Za-z]*)\s*", value)
    if match is None or match[2].lower() not in units:
        return None
    quantity = float(match[1]) * units[match[2].lower()]
    return quantity if 0 < quantity < _MOST else None
