"""Durations and sizes as people write them, and what is none."""

import pytest

from fmgrid.words import format_bytes, parse_bytes, parse_seconds

DURATIONS = {
    "60s": 60,
    "1.5min": 90,
    "2h": 7200,
    " 3 sec ": 3,
    "90": 90,
    90: 90,
    0.5: 0.5,
    1e-5: 1e-5,
    "2m": 120,
    "1H": 3600,
}
NONE = [
    *("", "soon", "-1s", "0", "0s", "1e9", "nan", "inf", "1 year", "1..5s", "5 5", "9" * 400),
    *(None, True, 0, -1, float("inf"), float("nan"), [60], 10**30, "999999999TB", "\u0663s"),
]


@pytest.mark.parametrize(("value", "seconds"), DURATIONS.items())
def test_durations(value: object, seconds: float) -> None:
    assert parse_seconds(value) == seconds


@pytest.mark.parametrize(
    ("value", "size"),
    [("2GB", 2 * 10**9), ("512 MiB", 2**29), ("1.5k", 1500), ("10", 10), ("1TiB", 2**40)],
)
def test_sizes(value: object, size: int) -> None:
    assert parse_bytes(value) == size


@pytest.mark.parametrize("value", ["0.5", 0.5, "0.0001k", "0.9 b"])
def test_less_than_a_byte_is_no_size_rather_than_no_limit(value: object) -> None:
    assert parse_bytes(value) is None


@pytest.mark.parametrize("value", NONE)
def test_what_is_none(value: object) -> None:
    assert parse_seconds(value) is None
    assert parse_bytes(value) is None


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (812, "812 bytes"), (20_000, "20 kB"), (1_500_000_000, "1.5 GB")],
)
def test_sizes_as_people_say_them(count: int, text: str) -> None:
    assert format_bytes(count) == text
