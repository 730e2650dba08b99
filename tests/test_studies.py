"""Studies that people made before fmgrid: their grids are planned, and eight of them run."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command import ROOT, Call, fmgrid
from fmgrid.grid import load_plan

FOLDER = Path(__file__).parent / "studies"
GRIDS = sorted(FOLDER.glob("study_*.toml"))
RUN = ROOT / "configs" / "studies"
PAGE = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _in_the_folder_of_the_studies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)


@pytest.mark.parametrize("path", GRIDS, ids=lambda path: path.stem)
def test_a_study_can_be_planned(path: Path) -> None:
    first, second, *_ = path.read_text(encoding="utf-8").splitlines()
    assert first.startswith(f"# Study {int(path.stem.removeprefix('study_'))}: ")
    plan = load_plan([Path(path.name)])
    assert second == f"# {len(plan.records[0].names)} experiments"


def test_several_sweeps_are_groups_of_their_own() -> None:
    (record,) = load_plan([Path("study_07.toml")]).records
    sizes = {title: len(names) for title, names in record.titled_blocks}
    assert sizes == {"Widths": 16, "Follow-ups": 7, "Overnight": 180}


@pytest.mark.parametrize(
    ("study", "expected"),
    [
        ("study_51", "24 runs, 24 to train"),  # a network of its authors
        ("study_57", "24 runs, 24 to train"),  # a folder of images
        ("study_58", "60 runs, 60 to train"),  # both, and a function that gives the data
    ],
)
def test_a_study_is_planned_by_the_command(
    study: str, expected: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (f"{study}.toml", "networks.py", "signals.py"):
        shutil.copy(FOLDER / name, tmp_path)
    for number in range(40):
        image = np.random.default_rng(number).integers(0, 255, (70, 80, 3), dtype=np.uint8)
        path = tmp_path / "ants_bees" / ("ants" if number % 2 else "bees") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FMGRID_CACHE", str(tmp_path / "cache"))
    code, _, err = call("plan", f"{study}.toml")
    assert (code, re.search(r"\d+ runs, \d+ to train", err)[0]) == (0, expected)  # type: ignore[index]


@pytest.mark.parametrize("path", sorted(RUN.glob("*.toml")), ids=lambda path: path.stem)
def test_a_study_that_is_run_stands_on_the_page(path: Path) -> None:
    question, _, size, *_ = path.read_text(encoding="utf-8").splitlines()
    assert f"## [{path.name}](../configs/studies/{path.name})" in PAGE
    assert f"*{question.removeprefix('# ')}* {size.removeprefix('# ')}" in PAGE


@pytest.mark.parametrize(
    ("study", "parts"),
    [
        ("sequences", ["mltrainer_32", "*GRU*size_16*False*0.0"]),  # recurrent networks
        ("skips", ["blocks_1*True"]),  # an own network on other images
    ],
)
def test_a_study_trains(
    study: str, parts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(RUN)
    short = ["--set", "epochs=1", "--set", "train_steps=3", "--seeds", "0"]
    short += [f"--only={part}" for part in parts]
    answer = fmgrid(
        "run", f"{study}.toml", *short, "--logdir", tmp_path, FMGRID_CACHE=str(tmp_path / "cache")
    )
    assert answer.returncode == 0, answer.stderr
