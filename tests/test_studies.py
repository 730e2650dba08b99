"""Studies that people made before fmgrid: their grids can be written, and planned."""

import re
from pathlib import Path

import pytest

from command import Call
from fmgrid.grid import load_plan

FOLDER = Path(__file__).parent / "studies"
GRIDS = sorted(FOLDER.glob("study_*.toml"))


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


def test_a_study_of_a_network_of_its_authors_is_planned_by_the_command(
    call: Call, tmp_path: Path
) -> None:
    code, out, err = call("plan", "study_51.toml", "--logdir", tmp_path / "logs")
    assert code == 0
    assert len(re.findall(r"^residual_\d+_\d+ ", out, flags=re.MULTILINE)) == 6
    assert "24 runs, 24 to train" in err
