"""Words for people: here, commands that they can type."""

import os
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmgrid.words import command_line

# Any bytes but zero, as Python has them of a command line
typed = st.binary(max_size=20).map(lambda text: os.fsdecode(text.replace(b"\0", b"'\\\xff  a")))


@settings(max_examples=20, deadline=None)
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
