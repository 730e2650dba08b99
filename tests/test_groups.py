"""Groups: each [[grid]] and [[zip]] of a file with several is one, in tables and reports."""

import csv
from pathlib import Path

import pytest

from command import ROOT, Call, write
from fmgrid.analysis.experiments import Group
from fmgrid.analysis.study import titles_by_name
from fmgrid.errors import InputError
from fmgrid.grid import load_plan
from fmgrid.hypotheses.registry import GridRecord, read_records, write_records
from fmgrid.results.store import Store
from made_up_grids import run_made_up
from made_up_studies import row, study_of

pytestmark = pytest.mark.usefixtures("elsewhere")

BASE = """# What helps?
[base]
dataset = "fashion-mnist-sample"
hidden_units = [32, 32]
"""
WIDTHS = '[[grid]]\nname = "u{units1}_{units2}"\nunits1 = [16, 32]\nunits2 = [16, 32]\n'
RATES = '[[grid]]\nname = "lr_{learning_rate}"\nlearning_rate = [1e-2, 1e-4]\n'
ROWS = '[[zip]]\nname = "b{batch_size}"\nbatch_size = [8, 16]\nepochs = [2, 4]\n'
POINTS = '[[point]]\nname = "default"\n[[point]]\nname = "deep"\nhidden_units = [32, 32, 32]\n'
LONG = "x" * 100


def records(*texts: str) -> list[GridRecord]:
    paths = [write(f"{BASE}{text}", f"g{number}.toml") for number, text in enumerate(texts)]
    return load_plan(paths).records


def groups(*texts: str) -> dict[str, list[str]]:
    """Return the names in each group of a study that has run all experiments of some grids."""
    paths = [write(f"{BASE}{text}", f"g{number}.toml") for number, text in enumerate(texts)]
    plan = load_plan(paths)
    write_records(Path("logs"), plan.records)
    runs = [row(**definition.experiment.model_dump()) for definition in plan.definitions]
    found: tuple[Group, ...] = study_of(runs, read_records(Path("logs"))[0]).groups
    return {group.title: [member.name for member in group.members] for group in found}


GROUPS: dict[str, tuple[str, dict[str, list[str]]]] = {
    "one block and points": (
        RATES + POINTS,
        {"g0": ["lr_0.01", "lr_0.0001", "default", "deep"]},
    ),
    "several blocks": (
        WIDTHS + RATES + ROWS,
        {
            "g0: units1 x units2": ["u16_16", "u16_32", "u32_16", "u32_32"],
            "g0: learning_rate": ["lr_0.01", "lr_0.0001", "u32_32"],
            "g0: batch_size + epochs": ["b8", "b16"],
        },
    ),
    "points beside several blocks": (
        RATES + ROWS + POINTS,
        {
            "g0: learning_rate": ["lr_0.01", "lr_0.0001", "default"],
            "g0: batch_size + epochs": ["b8", "b16"],
            "g0": ["default", "deep"],
        },
    ),
    "titles": (
        f'{RATES}title = "Rates"\n{ROWS}title = "Sizes"\n',
        {"Rates": ["lr_0.01", "lr_0.0001"], "Sizes": ["b8", "b16"]},
    ),
    "one title for some": (
        f'{RATES}title = "Rates"\n{POINTS}title = "Rates"\n{ROWS}',
        {
            "Rates": ["lr_0.01", "lr_0.0001", "deep", "default"],
            "g0: batch_size + epochs": ["b8", "b16"],
            "g0": ["default"],
        },
    ),
    "blocks with the same axes": (
        f"{RATES}{RATES.replace('lr_', 'long_')}epochs = 9\n",
        {
            "g0: learning_rate": ["lr_0.01", "lr_0.0001"],
            "g0: learning_rate (2)": ["long_0.01", "long_0.0001"],
        },
    ),
    "a block that is a single experiment": (
        f"{RATES}[[grid]]\nname = 'one'\nepochs = 9\n",
        {"g0: learning_rate": ["lr_0.01", "lr_0.0001"], "g0": ["one"]},
    ),
}


@pytest.mark.parametrize("case", GROUPS)
def test_a_file_has_a_group_for_each_of_its_sweeps(case: str) -> None:
    text, expected = GROUPS[case]
    assert groups(text) == expected


@pytest.mark.parametrize("text", [RATES + ROWS + POINTS, RATES])
def test_a_title_at_the_top_makes_one_group_of_the_file(text: str) -> None:
    plan = load_plan([write(f'title = "All of it"\n{BASE}{text}')])
    runs = [row(**definition.experiment.model_dump()) for definition in plan.definitions]
    (group,) = study_of(runs, plan.records).groups
    assert (group.title, len(group.members)) == ("All of it", len(runs))


def test_a_title_of_two_files_has_their_folders() -> None:
    for folder in ("a", "b"):
        Path(folder).mkdir()
        write(f'{BASE}{RATES.replace("lr", folder)}title = "Rates"\n', f"{folder}/g.toml")
    plan = load_plan([Path("a"), Path("b")])
    assert {*titles_by_name(plan.records).values()} == {"a/Rates", "b/Rates"}


def test_the_table_and_the_report_have_the_groups(call: Call) -> None:
    path = write(f'{BASE}{WIDTHS}{RATES}title = "Learning rates"\n{POINTS}', "g.toml")
    plan = load_plan([path])
    run_made_up([definition.experiment for definition in plan.definitions], Store(Path("logs")))
    assert call("run", "g.toml", "--logdir", "logs")[0] == 0
    assert call("summarize", "logs", "-o", "t.csv", "--by-experiment", "e.csv")[0] == 0
    expected = {
        "u16_32": "g: units1 x units2",
        "u32_32": "g: units1 x units2",
        "lr_0.01": "Learning rates",
        "default": "g",
        "deep": "g",
    }
    for table in ("t.csv", "e.csv"):
        with Path(table).open(newline="") as file:
            found = {line["name"]: line["group"] for line in csv.DictReader(file)}
        assert {name: found[name] for name in expected} == expected
    assert call("report", "logs", "-o", "report")[0] == 0
    lines = Path("report/report.md").read_text().splitlines()
    headings = [line.removeprefix("### ") for line in lines if line.startswith("### ")]
    assert headings[:3] == ["g: units1 x units2", "Learning rates", "g"]
    assert lines[2] == "What helps? 8 experiments, 8 complete runs, 1 seed."


def test_records_of_before_make_one_group_of_a_file() -> None:
    (record,) = records(WIDTHS + RATES)
    older = record.model_copy(update={"titles": ()})
    assert {*titles_by_name([older]).values()} == {"g0"}


def test_two_log_folders_of_a_grid_keep_its_titles() -> None:
    (record,) = records(WIDTHS + RATES + POINTS)
    for folder in ("a", "b"):
        write_records(Path(folder), [record])
    (joined,), _ = read_records(Path("a"), Path("b"))
    assert joined.titled_blocks == record.titled_blocks


@pytest.mark.parametrize("title", ['""', '" "', "3", '"a\\nb"', f'"{LONG}x"'])
def test_a_title_is_a_line_of_text(title: str) -> None:
    with pytest.raises(InputError, match="is not one line of text with at most 100 characters"):
        records(f"{RATES}title = {title}\n")
    assert records(f'{RATES}title = "{LONG}"\n')


def test_the_example_of_the_docs_has_the_groups_that_it_names() -> None:
    text = (ROOT / "docs" / "grids.md").read_text(encoding="utf-8")
    section = text.partition("## Several sweeps in one file")[2].partition("\n## ")[0]
    plan = load_plan([write(section.partition("```toml\n")[2].partition("```")[0], "FILE.toml")])
    runs = [row(**definition.experiment.model_dump()) for definition in plan.definitions]
    sizes = {group.title: len(group.members) for group in study_of(runs, plan.records).groups}
    assert sizes == {
        "Widths of layers": 9,
        "Learning rates": 3,
        "FILE: epochs + train_steps": 3,
        "FILE": 1,
    }
