"""`fmgrid data`: the data sets are listed, described and prepared; the examples in docs/data.md."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from command import ROOT, Call, fmgrid, start, start_in_terminal, write
from fmgrid.data.catalogue import DATASETS

EXAMPLES = re.findall(r"```toml\n# (\S+)\n(.*?)```", (ROOT / "docs" / "data.md").read_text(), re.S)
NAMED = [(name, text) for name, text in EXAMPLES if 'dataset = "digits"' in text]


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FMGRID_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FMGRID_DATA", raising=False)
    return tmp_path / "cache"


def read_terminal(columns: int, *words: str) -> list[str]:
    child, terminal = start_in_terminal(*words, COLUMNS=str(columns), NO_COLOR="1")
    text = b""
    try:
        while part := os.read(terminal, 65536):
            text += part
    except OSError:  # the end, on Linux
        pass
    os.close(terminal)
    assert os.waitpid(child, 0)[1] == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", text.decode()).splitlines()


def test_all_data_sets_are_listed_and_those_in_the_cache_are_marked(
    call: Call, empty_cache: Path
) -> None:
    code, out, told = call("data")
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines()[1:]}
    assert list(rows) == list(DATASETS)
    assert not empty_cache.exists()
    assert f"0 of {len(DATASETS)} in the cache, {empty_cache}" in told

    assert call("data", "digits")[0] == 0
    _, out, told = call("data")
    cached = [line.split()[0] for line in out.splitlines() if "  yes  " in line]
    assert cached == ["digits"]
    assert f"1 of {len(DATASETS)} in the cache" in told


def test_the_list_for_scripts_has_all_facts(call: Call, empty_cache: Path) -> None:
    code, out, told = call("data", "--json")
    assert (code, told) == (0, "")
    entries = {entry["dataset"]: entry for entry in json.loads(out)["datasets"]}
    assert list(entries) == list(DATASETS)
    assert entries["cifar10"] == {
        "dataset": "cifar10",
        "description": "photographs of 10 kinds (Krizhevsky, 2009)",
        "train_images": 50_000,
        "test_images": 10_000,
        "valid_images": 0,
        "shape": [3, 32, 32],
        "classes": [*DATASETS["cifar10"].classes],
        "licence": "none stated",
        "sources": ["torchvision's download"],
        "files": ["cifar-10-python.tar.gz"],
        "download_megabytes": 170,
        "folder": str(empty_cache / "cifar10"),
        "is_cached": False,
    }


def test_a_list_that_is_cut_off_in_the_middle_of_its_reading_is_no_error() -> None:
    done = subprocess.run(
        ["bash", "-c", "set -o pipefail; fmgrid data | head -1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout.startswith("data set")


@pytest.mark.parametrize("columns", [80, 50])
def test_the_list_fits_a_terminal(columns: int) -> None:
    lines = read_terminal(columns, "data")
    *table, _, _ = lines
    assert max(map(len, table)) <= columns
    for name in DATASETS:
        assert sum(line.split()[:1] == [name] for line in table) == 1
    assert len(table) == (1 + len(DATASETS) if columns == 80 else 7 * len(DATASETS))


@pytest.mark.parametrize("name", DATASETS)
def test_a_dry_run_describes_a_data_set_and_touches_nothing(
    name: str, call: Call, empty_cache: Path
) -> None:
    info = DATASETS[name]
    code, out, told = call("data", name, "--dry-run")
    assert (code, told) == (0, "")
    assert not empty_cache.exists()
    facts = {line[:9].strip(): line[10:] for line in out.splitlines()[1:]}
    assert (
        facts["images"] == f"{info.train_images:,} for training, {info.test_images:,} for testing"
    )
    assert facts["cache"] == f"{empty_cache / name}, not there yet"
    assert facts["labels"] == ", ".join(info.classes)
    assert facts["licence"] == info.licence
    assert ("files" in facts) == info.has_choice
    _, out, _ = call("data", name, "--dry-run", "--json")
    assert json.loads(out) in json.loads(call("data", "--json")[1])["datasets"]


def test_arguments_of_own_data_are_given_as_in_a_grid(call: Call) -> None:
    Path("made.py").write_text(
        "import numpy as np\n\n\ndef up(n=10, size=(3, 4)):\n"
        "    x, y = np.zeros((n, *size), np.float32), np.arange(n) % 2\n    return x, y, x, y\n"
    )
    chosen = ["--set", "dataset_args.n=30", "--set", "dataset_args.size=[2,5]"]
    code, out, _ = call("data", "made:up", *chosen, "--json")
    facts = json.loads(out)
    assert (code, facts["train_images"], facts["shape"]) == (0, 30, [2, 5])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["flowers/", "dataset_args.siz=[1,1]"],
            "--set dataset_args.siz=[1,1]: flowers/ takes no siz; did you mean size?",
        ),
        (
            ["flowers/", "dataset_args.size=16"],
            "flowers/: dataset_args.size: 16 is no number of rows and columns; write [32, 32]",
        ),
        (
            ["flowers/", "epochs=3"],
            "--set epochs=3: is no argument of the data; write such as --set dataset_args",
        ),
        (["flowers/", "size"], "--set size: has no value; write --set setting=value"),
        (
            ["digits", "dataset_args.size=3"],
            (
                '--set dataset_args.size=3: only a folder, as in "images/", and a function '
                "take arguments; leave it out"
            ),
        ),
    ],
)
def test_arguments_that_data_do_not_take_are_refused(
    words: list[str], message: str, call: Call
) -> None:
    dataset, argument = words
    code, out, told = call("data", dataset, "--set", argument)
    assert (code, out) == (2, "")
    assert message in " ".join(told.split())


def test_a_data_set_is_prepared_and_its_images_are_counted(call: Call, empty_cache: Path) -> None:
    code, out, told = call("data", "digits")
    assert (code, told) == (0, "digits: trying scikit-learn's own files\n")
    assert f"{empty_cache / 'digits'}, checksums verified" in out
    assert re.search(r"^source +scikit-learn's own files$", out, re.M)
    assert re.search(r"^all +1,500 +297$", out, re.M)
    code, out, told = call("data", "digits", "--json")
    answer = json.loads(out)
    assert (code, told, answer["is_cached"]) == (0, "", True)
    assert answer["source"] == f"the cache, {empty_cache / 'digits'}"
    assert [sum(numbers.values()) for numbers in answer["counts"].values()] == [1500, 297]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("MNIST", "did you mean mnist?"),
        ("emnist", "did you mean emnist-letters?"),
        ("CIFAR-10", "did you mean cifar10?"),
        ("Digits", "did you mean digits?"),
        ("fashion_mnist", "did you mean fashion-mnist?"),
        ("imagenet", f"it has {', '.join(sorted(DATASETS))}"),
        ("", f"it has {', '.join(sorted(DATASETS))}"),
        ("\x1b[2J", r'"\u001b[2J"'),
    ],
)
@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_a_wrong_name_is_answered_with_a_near_one(
    name: str, hint: str, options: tuple[str, ...], call: Call, empty_cache: Path
) -> None:
    code, out, told = call("data", name, *options)
    assert (code, out) == (2, "")
    assert hint in " ".join(told.split())
    assert not empty_cache.exists()


@pytest.mark.parametrize("words", [(), ("mnist", "--dry-run"), ("digits",)])
def test_a_folder_that_would_not_be_read_is_refused(
    words: tuple[str, ...], call: Call, tmp_path: Path
) -> None:
    code, out, told = call("data", *words, "--data-dir", tmp_path)
    assert (code, out) == (2, "")
    assert "leave" in told


def test_a_folder_without_the_files_is_exit_code_3(
    call: Call, empty_cache: Path, tmp_path: Path
) -> None:
    code, out, told = call("data", "cifar100", "--data-dir", tmp_path)
    assert (code, out) == (3, "")
    assert f"{tmp_path}, chosen by --data-dir, does not hold cifar100" in told
    assert "cifar-100-python.tar.gz: not found; expected SHA-256" in told
    assert not empty_cache.exists()


def test_a_disk_without_room_is_said_to_be_full_and_the_next_call_prepares(
    empty_cache: Path,
) -> None:
    done = subprocess.run(
        ["bash", "-c", "ulimit -f 100; fmgrid data digits"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert (
        f"{empty_cache}: cannot serve as the cache: it cannot be written (no room: " in done.stderr
    )
    assert "set FMGRID_CACHE to a folder that can be written" in done.stderr
    assert fmgrid("data", "digits").returncode == 0


def test_a_file_in_the_place_of_a_data_set_is_named(call: Call, empty_cache: Path) -> None:
    empty_cache.mkdir()
    (empty_cache / "digits").touch()
    code, out, told = call("data", "digits")
    assert (code, out) == (3, "")
    assert f"{empty_cache / 'digits'}: File exists" in told


def test_commands_that_start_together_give_the_same_answer(empty_cache: Path) -> None:
    both = [start("data", "digits", "--json") for _ in range(2)]
    answers = [json.loads(process.communicate()[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert answers[0]["counts"] == answers[1]["counts"]
    left = {path.name for path in empty_cache.iterdir()}
    assert left == {"digits", "digits.lock"}


def test_the_list_needs_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; from fmgrid.cli import app; app(['data'], standalone_mode=False); "
        "sys.exit(bool({'torch', 'numpy', 'mltrainer'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.DEVNULL)
    assert done.returncode == 0


# docs/data.md


@pytest.mark.parametrize(("name", "text"), NAMED, ids=[name for name, _ in NAMED])
def test_the_grids_in_the_guide_run(name: str, text: str, call: Call) -> None:
    number = {"digits.toml": 2, "held_out.toml": 3, "standardized.toml": 2}[name]
    code, out, told = call("run", write(text, name), "-j", "0", "--json")
    assert code == 0, told
    assert [json.loads(line)["status"] for line in out.splitlines()] == ["complete"] * number


def test_the_guide_has_every_data_set_with_its_facts() -> None:
    page = (ROOT / "docs" / "data.md").read_text()
    rows = re.findall(r'^\| `"(.*?)"` \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$', page, re.M)
    assert [row[0] for row in rows] == list(DATASETS)
    for name, images, classes, origin, licence in rows:
        info = DATASETS[name]
        assert images.startswith(f"{info.train_images:,} and {info.test_images:,} ")
        if "sample" not in name:
            assert f"{info.shape[1]} x {info.shape[2]}" in images
        assert int(classes) == len(info.classes)
        assert licence == info.licence
        assert info.origin in origin
