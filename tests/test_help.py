"""The help texts, as a terminal of 80 columns shows them."""

from pathlib import Path

import pytest

from command import fmgrid

TEXTS = Path(__file__).parent / "help"
COMMANDS = (
    "run",
    "plan",
    "list",
    "summarize",
    "report",
    "compare",
    "diff",
    "status",
    "show",
    "data",
)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_the_help_of_every_command_is_as_reviewed(command: str) -> None:
    done = fmgrid(*command.split(), "--help", COLUMNS="80")
    assert done.returncode == 0
    assert done.stdout == (TEXTS / f"{command or 'fmgrid'}.txt").read_text()
