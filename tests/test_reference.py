"""Published figures as somebody may have typed them."""

import os
from pathlib import Path

import pytest

from fmgrid.errors import InputError
from fmgrid.reporting.reference import read_reference

PUBLISHED = Path(__file__).parents[1] / "docs" / "published_results.csv"
WANTED = "needs the column name, and any of accuracy, valid_loss, train_loss"
FRACTION, NUMBER = "write a fraction, as in 0.836", "write a number from 0"

WRONG: dict[str, tuple[bytes, list[str]]] = {
    "empty": (b"", [f":1: {WANTED}"]),
    "without a name column": (b"x,y\na,0.8\n", [f":1: {WANTED}"]),
    "with a column twice": (
        b"name,accuracy,accuracy\na,0.8,0.9\n",
        [":1: has the column accuracy twice; leave one of them out"],
    ),
    "without figures": (b"name,epochs\na,5\n", [f":1: {WANTED}"]),
    "of a header alone": (b"name,accuracy\n", [": has no rows; write one per experiment"]),
    "with a name twice": (
        b"name,accuracy\na,0.8\nb,0.7\na,0.8\n",
        [':4: name: "a" stands there twice; write each experiment once'],
    ),
    "with numbers beyond any network": (
        b"name,valid_loss\na,1e308\nb,1e38\n",
        [f':2: valid_loss: "1e308" is no such figure; {NUMBER}'],
    ),
    "with a row of no name": (
        b"name,accuracy\n ,0.8\n",
        [":2: name: is empty; write each experiment once"],
    ),
    "of percentages": (
        b"name,accuracy\na,83.6\n",
        [f':2: accuracy: "83.6" is no such figure; {FRACTION}'],
    ),
    "of decimal commas": (
        b"name,accuracy\na,0,836\nb,0.8,\nc,0.8\n",
        [":2: has more values than the table has columns; write decimals as in 0.21"],
    ),
    "of text": (
        b"name,accuracy,valid_loss\na,good,low\n",
        [
            f':2: accuracy: "good" is no such figure; {FRACTION}',
            f':2: valid_loss: "low" is no such figure; {NUMBER}',
        ],
    ),
    "of what is no number": (
        b"name,accuracy,train_loss\na,nan,inf\nb,-0.1,\n",
        [
            f':2: accuracy: "nan" is no such figure; {FRACTION}',
            f':2: train_loss: "inf" is no such figure; {NUMBER}',
            f':3: accuracy: "-0.1" is no such figure; {FRACTION}',
        ],
    ),
    "that moves the cursor": (
        b"name,accuracy\na,\x1b[2J\n",
        [f':2: accuracy: "\\u001b[2J" is no such figure; {FRACTION}'],
    ),
    "binary": (bytes(range(256)), [": is not UTF-8 text; save it as UTF-8"]),
    "with an open quote": (
        b'name,accuracy\n"a,0.8\n',
        [":1: is not CSV: unexpected end of data"],  # where the quote was opened,
    ),
}


def write(folder: Path, content: bytes) -> Path:
    path = folder / "reference.csv"
    path.write_bytes(content)
    return path


def objection(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_reference(path)
    return str(caught.value)


@pytest.mark.parametrize(("content", "told"), WRONG.values(), ids=WRONG)
def test_a_wrong_reference_is_told_with_all_its_problems(
    content: bytes, told: list[str], tmp_path: Path
) -> None:
    path = write(tmp_path, content)
    assert objection(path) == "\n".join(f"{path}{one}" for one in told)


def test_a_reference_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gone.csv"
    assert objection(path) == f"{path}: cannot be read: No such file or directory"


@pytest.mark.parametrize("kind", ["a pipe", "a device", "a link to a pipe"])
def test_what_would_be_read_for_ever_is_no_reference(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "it"
    os.mkfifo(tmp_path / "pipe")
    path.symlink_to("/dev/zero" if kind == "a device" else "pipe")
    path = tmp_path / "pipe" if kind == "a pipe" else path
    assert objection(path) == f"{path}: cannot be read: not a regular file"


def test_a_folder_is_no_reference(tmp_path: Path) -> None:
    assert objection(tmp_path) == f"{tmp_path}: cannot be read: Is a directory"


def test_a_file_too_large_for_a_table_is_not_read(tmp_path: Path) -> None:
    path = write(tmp_path, b"")
    with path.open("r+b") as stream:
        stream.truncate(10_000_001)
    assert objection(path) == f"{path}: cannot be read: larger than 10,000,000 bytes"


def test_no_more_than_twenty_problems_are_told(tmp_path: Path) -> None:
    lines = "".join(f"e{number},80\n" for number in range(50))
    assert len(objection(write(tmp_path, f"name,accuracy\n{lines}".encode())).splitlines()) == 20


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfname,accuracy,valid_loss\na,0.8,\n",
        b"name,accuracy\r\na,0.8\r\n",
        b"accuracy,author,name\n 0.8 ,x, a \n",
        b'name,accuracy\n"a","0.8"\n\n',
        b"name,accuracy,,\na,0.8,,\n",
        b"name, accuracy\na, 0.8\n",
    ],
    ids=[
        "a byte order mark",
        "ends of Windows",
        "other columns and spaces",
        "quotes",
        "columns without a name",
        "spaces",
    ],
)
def test_what_a_spreadsheet_writes_is_read(content: bytes, tmp_path: Path) -> None:
    assert read_reference(write(tmp_path, content)).figures == {"a": {"accuracy": 0.8}}


def test_a_short_row_has_fewer_figures(tmp_path: Path) -> None:
    found = read_reference(write(tmp_path, b"name,accuracy,train_loss\na,0.8\nb\n"))
    assert found.figures == {"a": {"accuracy": 0.8}, "b": {}}


def test_the_published_study_can_be_read() -> None:
    figures = read_reference(PUBLISHED).figures
    assert len(figures) == 36
    assert figures["epochs_3"] == {"accuracy": 0.795, "valid_loss": 0.551, "train_loss": 0.521}
