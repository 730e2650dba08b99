"""Words for people: here, commands that they can type."""

import os
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmgrid.words import command_line, shortened, show_ranges

# Any bytes but zero, as Python has them of a command line
typed = st.binary(max_size=20).map(lambda text: os.fsdecode(text.replace(b"\0", b"'\\\xff  a")))


@settings(max_examples=20)
@given(words=st.lists(typed, min_size=1, max_size=5))
def test_a_command_is_read_by_a_shell_as_it_was_meant(words: list[str]) -> None:
    line = command_line(["printf", r"%s\0", *words])
    assert line.isprintable()
    assert "  " not in line
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True)
    assert done.stdout.split(b"\0")[:-1] == list(map(os.fsencode, words))


@pytest.mark.parametrize(
    ("folder", "shown"),
    [
        ("logs", "logs"),
        ("my logs", "'my logs'"),
        ("log\udcff'1", r"$'log\xff\x271'"),
        ("a  b", r"$'a \x20b'"),
    ],
)
def test_only_what_a_shell_would_misread_is_quoted(folder: str, shown: str) -> None:
    assert command_line(["fmgrid", "report", folder]) == f"fmgrid report {shown}"


@given(numbers=st.lists(st.integers(0, 30)))
def test_ranges_name_every_number_once_and_no_other(numbers: list[int]) -> None:
    ranges = [part.split("-") for part in show_ranges(numbers).split(",") if part]
    named = [number for one in ranges for number in range(int(one[0]), int(one[-1]) + 1)]
    assert named == sorted({*numbers})


FAMILIES = {
    "a beginning": [f"experiment_with_units_{n}" for n in range(200)],
    "an end": [f"{n}_units_of_the_experiment" for n in range(200)],
    "a middle": [f"experiment_units_{n}_batch_size_64_learning_rate_0.001" for n in range(200)],
    "two middles": [f"units_{a}_{b}_learning_rate_0.001_x" for a in range(9) for b in range(9)],
    "nothing": ["same"] * 3,
    "a length": ["a" * n for n in range(1, 60)],
    "a short name that is what a long one would become": ["aaaaaa…bbb", "aaaaaaaaaaaaaabbb"],
}


@pytest.mark.parametrize("limit", [8, 12, 20, 100])
@pytest.mark.parametrize("names", FAMILIES.values(), ids=FAMILIES)
def test_names_that_are_shortened_stay_distinct(names: list[str], limit: int) -> None:
    short = shortened(names, limit)
    assert len(set(short.values())) == len(set(names))
    assert all(len(text) <= limit for text in short.values())
    assert all(short[name] == name for name in names if len(name) <= limit)


@given(
    names=st.lists(st.text(st.sampled_from("ab…2"), max_size=30), max_size=30),
    limit=st.integers(8, 20),
)
def test_any_names_stay_distinct_when_they_are_shortened(names: list[str], limit: int) -> None:
    short = shortened(names, limit)
    assert len(set(short.values())) == len(set(names))
    assert all(len(text) <= limit for text in short.values())


def test_a_shortened_name_keeps_what_differs() -> None:
    names = [f"experiment_units_{n}_batch_size_64" for n in (16, 32)]
    assert ["16" in short for short in shortened(names, 12).values()] == [True, False]
