"""Counts are written as people do: 1 run is, 2 runs are, whichever command tells of them."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from command import Call, write
from fmgrid.experiment import Experiment, Failure, Run
from fmgrid.grid import load_plan
from fmgrid.pages.rendering import to_markdown
from fmgrid.reporting import to_document, weigh
from fmgrid.results.store import Store
from fmgrid.words import counted, format_bytes, there_are
from made_up_grids import run_made_up
from made_up_runs import make_run
from made_up_studies import row, study_of

NOUNS = (
    "bytes cells combinations comparisons cores epochs experiments files folders hypotheses "
    "images layers levels mistakes names numbers others pictures rows runs seeds settings steps "
    "trainings values warnings workers"
).replace(" ", "|")
VERBS = "are|differ|do|fall|have|lie|need|share|stand|take|were"
ONE = r"(?<![\w.,])1 "  # no part of a name or of another number
WRONG = [
    re.compile(rf"{ONE}(?:[a-z]+ )?(?:{NOUNS})\b"),
    re.compile(rf"{ONE}(?:of \S+ )?[a-z]+ (?:{VERBS})\b"),
    re.compile(rf"\b(?:are|were) {ONE}"),
]


def disagreements(text: str) -> list[str]:
    """What stands with 1 as only several can."""
    return [match[0] for pattern in WRONG for match in pattern.finditer(text)]


def test_disagreements_are_noticed() -> None:
    for text in ("1 runs", "1 complete runs", "1 of 3 steps are", "there are 1 run", "1 run were"):
        assert disagreements(text)
    assert not disagreements("a_1 runs, 2.1 images, 21 runs are, 1 run is, 1 of 3 steps is")


@pytest.mark.parametrize("number", [0, 1, 2])
def test_words_agree_with_their_number(number: int) -> None:
    names = [f"a{index}" for index in range(number)]
    assert counted(number, "run") == ["0 runs", "1 run", "2 runs"][number]
    assert there_are(names) == ["there are none", "there is a0", "there are a0, a1"][number]
    assert format_bytes(number) == ["0 bytes", "1 byte", "2 bytes"][number]


def fail_last(failures: int, experiment: Experiment) -> Run:
    """Make a run up, failed for the batch sizes from 8 on, of which there are so many."""
    if experiment.batch_size < 8 or experiment.batch_size >= 8 + failures:
        return make_run(experiment)
    failure = Failure(message="broke")
    return make_run(experiment, status="failed", history=(), failure=failure, weights=None)


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("failures", [0, 1, 2])
@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("experiments", [0, 1, 2])
def test_every_command_agrees_with_its_counts(
    experiments: int, seeds: int, failures: int, call: Call
) -> None:
    sizes = [*range(1, experiments + 1), *range(8, 8 + failures)]
    if not sizes:
        return
    text = f"""name = "b{{batch_size}}"
repeats = {seeds}
[base]
dataset = "fashion-mnist-sample"
hidden_units = [8]
[grid]
batch_size = {sizes}
[[hypothesis]]
claim = "It is so"
expect = "b{sizes[0]} < 0.9"
"""
    grid, store = write(text), Store(Path("modellogs"))
    planned = call("plan", grid)
    plan = load_plan([grid])
    run_made_up(
        [definition.experiment for definition in plan.definitions],
        store,
        lambda experiment: fail_last(failures, experiment),
    )
    told = [
        planned,
        *(call(*words) for words in (("plan", grid), ("run", grid), ("run", grid, "--only", "x"))),
        *(call(command, "modellogs") for command in ("status", "list")),
        call("summarize", "modellogs", "-o", "t.csv", "--history", "h.csv"),
        call("compare", f"b{sizes[0]}", f"b{sizes[-1]}"),
        call("compare", "x", "y"),
        call("run", grid, "--set", "batch_size=64", "--dry-run"),
    ]
    write(text.replace("[base]", "[base]\nepochs = 7"))
    told += [call("plan", grid), call("run", grid), call("run", grid, "--dry-run", "--replace")]
    for _, out, said in told:
        assert disagreements(f"{out}\n{said}") == []


rows = st.lists(
    st.builds(
        lambda size, seed, accuracy, is_held_out: row(
            f"b{size}{'h' * is_held_out}",
            seed,
            {"accuracy": accuracy},
            batch_size=size,
            validation=100 if is_held_out else "test",
        ),
        st.integers(1, 3),
        st.integers(0, 2),
        st.sampled_from([0.5, 0.6, 0.61]),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda each: (each["name"], each["seed"]),
)


@settings(max_examples=30)
@given(rows=rows)
def test_a_report_agrees_with_its_counts(rows: list[dict[str, object]]) -> None:
    evidence = weigh(study_of(rows))
    document = to_document(evidence, [], Path("logs"), "fmgrid report logs")
    assert disagreements(to_markdown(document)) == []
