import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from fmgrid.errors import InputError
from fmgrid.grid import Plan, load_plan
from fmgrid.hypotheses.language import names_of, parse_expectation, selections
from fmgrid.hypotheses.registry import GridRecord
from fmgrid.words import printable
from loading import load_grids

CONFIGS = Path(__file__).parent.parent / "configs"

Write = Callable[..., None]

EPOCHS = """\
# Do epochs help?
name = "epochs_{epochs}"
[grid]
epochs = [3, 5, 10]
batch_size = [64]
"""
UNITS = """\

# How wide?
[base]
epochs = 5
[[zip]]
hidden_units.0 = [16, 32]
name = "units_{hidden_units[0]}"
[[point]]
name = "linear"
hidden_units = []
"""
CLAIM = """
[[hypothesis]]
claim = "More epochs help"
expect = 'epochs_10 > epochs = 5'
metric = "best_accuracy"
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write files to the folder that the test works in."""
    monkeypatch.chdir(tmp_path)

    def write_all(**files: str) -> None:
        for name, text in files.items():
            Path(f"{name}.toml").write_text(text, encoding="utf-8")

    return write_all


def plan_of(*names: str, **options: object) -> Plan:
    return load_plan([Path(name) for name in names], **options)  # type: ignore[arg-type]


def refusal(*names: str, **options: object) -> list[str]:
    with pytest.raises(InputError) as caught:
        plan_of(*names, **options)
    return str(caught.value).splitlines()


def run_names(plan: Plan) -> list[str]:
    return [definition.experiment.run_name for definition in plan.definitions]


# What a file says of its experiments


def test_a_hypothesis_is_resolved_with_its_place(write: Write) -> None:
    write(g=EPOCHS + CLAIM)

    [stated] = plan_of("g.toml").hypotheses

    assert stated.claim == "More epochs help"
    assert stated.expect == "epochs_10 > epochs = 5"
    assert stated.metric == "best_accuracy"
    assert stated.resolved == parse_expectation("epochs_10 > epochs_5")
    assert stated.place == "g.toml:7"


def test_the_metric_is_accuracy_unless_another_is_named(write: Write) -> None:
    write(g=EPOCHS + "[hypothesis]\nclaim = 'a'\nexpect = 'each of * > 0.1'\n")

    assert [stated.metric for stated in plan_of("g.toml").hypotheses] == ["accuracy"]


def test_a_file_is_stated_with_its_question_and_its_names(write: Write) -> None:
    write(epochs=EPOCHS, units=UNITS)

    epochs, units = plan_of(".").records

    assert (epochs.path, units.path) == ("epochs.toml", "units.toml")
    assert (epochs.question, units.question) == ("Do epochs help?", "How wide?")
    assert epochs.names == ("epochs_3", "epochs_5", "epochs_10")
    assert units.names == ("units_16", "units_32", "linear")
    assert epochs.hypotheses == ()


@pytest.mark.parametrize("text", ["[base]\n# No question\n", "name = 'a'  # b\n", "# \n[base]"])
def test_a_file_that_begins_with_no_comment_has_no_question(write: Write, text: str) -> None:
    write(g=text)

    assert [grid.question for grid in plan_of("g.toml").records] == [""]


def undated(record: GridRecord) -> dict[str, Any]:
    return record.model_dump(exclude={"hypotheses": {"__all__": {"since"}}})


def test_what_is_chosen_of_the_runs_changes_nothing_that_was_stated(write: Write) -> None:
    write(g=EPOCHS + CLAIM)

    chosen = plan_of("g.toml", only=["*_3"], seeds=[1, 2])

    assert run_names(chosen) == ["epochs_3_s1", "epochs_3_s2"]
    every = plan_of("g.toml")
    assert [undated(record) for record in chosen.records] == [undated(every.records[0])]


# What a file takes in


def test_a_file_takes_in_the_experiments_of_others_beside_its_own(write: Write) -> None:
    write(epochs=EPOCHS + CLAIM, units=UNITS)
    write(
        all="# All?\ngrids = ['units.toml', 'epochs.toml']\n[[point]]\nname = 'one'\nepochs = 1\n"
    )

    plan = plan_of("all.toml")

    together = ["units_16", "units_32", "linear", "epochs_3", "epochs_5", "epochs_10", "one"]
    assert run_names(plan) == together
    assert [grid.path for grid in plan.records] == ["units.toml", "epochs.toml", "all.toml"]
    assert plan.records[-1].names == ("one",)
    assert [stated.claim for stated in plan.hypotheses] == ["More epochs help"]


def test_a_hypothesis_speaks_of_what_its_file_takes_in(write: Write) -> None:
    write(epochs=EPOCHS, units=UNITS)
    claim = "[[hypothesis]]\nclaim = 'a'\nexpect = 'epochs_3 > best of units_*'\n"
    write(all=f"grids = ['epochs.toml', 'units.toml']\n{claim}")

    [stated] = plan_of("all.toml").hypotheses

    assert [list(chosen) for chosen in selections(stated.resolved)] == [
        ["epochs_3"],
        ["units_16", "units_32"],
    ]


def test_paths_are_relative_to_the_file(write: Write) -> None:
    write(epochs=EPOCHS)
    Path("sub").mkdir()
    Path("sub/all.toml").write_text("grids = ['../epochs.toml', '../sub/../epochs.toml']\n")

    assert run_names(plan_of("sub/all.toml")) == ["epochs_3", "epochs_5", "epochs_10"]


@pytest.mark.parametrize(
    "named",
    [
        pytest.param(["."], id="the folder"),
        pytest.param(["all.toml", "epochs.toml", "units.toml"], id="all, the collection first"),
        pytest.param(["./units.toml", "all.toml"], id="one of its members"),
    ],
)
def test_a_collection_and_its_members_are_read_once(write: Write, named: Sequence[str]) -> None:
    write(epochs=EPOCHS + CLAIM, units=UNITS, all="grids = ['epochs.toml', 'units.toml']\n")

    plan = plan_of(*named)

    assert sorted(run_names(plan)) == [
        *("epochs_10", "epochs_3", "epochs_5", "linear", "units_16", "units_32")
    ]
    assert sorted(grid.path for grid in plan.records) == ["all.toml", "epochs.toml", "units.toml"]
    assert len(plan.hypotheses) == 1


# Mistakes

BAD = """\
# Everything that can be wrong
name = "e_{epochs}"
[base]
epoch = 3
[grid]
epochs = [3, 5]

[[hypothesis]]
claim = "no expectation"

[[hypothesis]]
calim = "no claim"
expect = "e_5 > e_3 >"
metric = "acuracy"

[[hypothesis]]
claim = ["a"]
expect = ["e_5 > e_3", "e_3 > e_5"]
metric = { a = 1 }

[[hypothesis]]
claim = " "
expect = "batchsize = 64 > e_3"

[[hypothesis]]
claim = "two\\nlines"
expect = "e_5 < 20"
"""

COMPLAINTS = """\
g.toml:4: base.epoch: no such setting; did you mean epochs?
g.toml:8: hypothesis: has no expect; write what would show it, as in expect = \
"epochs_10 > epochs_5"
g.toml:11: hypothesis: has no claim; write what you claim, as in claim = "More epochs help"
g.toml:12: hypothesis.calim: no such key; did you mean claim?
g.toml:13: hypothesis.expect: ends too early; write a name or a condition, as in \
epochs_10 > epochs_5
g.toml:14: hypothesis.metric: "acuracy" is no metric; did you mean accuracy?
g.toml:17: hypothesis.claim: ["a"] is not one line of text that can be seen; \
write it in quotes, and in \""" end each line with \\
g.toml:18: hypothesis.expect: ["e_5 > e_3", "e_3 > e_5"] is not one line of text that can be seen; \
write it in quotes, and in \""" end each line with \\
g.toml:19: hypothesis.metric: { a = 1 } is not one line of text that can be seen; \
write it in quotes, and in \""" end each line with \\
g.toml:22: hypothesis.claim: " " is not one line of text that can be seen; \
write it in quotes, and in \""" end each line with \\
g.toml:23: hypothesis.expect: batchsize: no such setting; did you mean batch_size?
g.toml:26: hypothesis.claim: "two\\u000alines" is not one line of text that can be seen; \
write it in quotes, and in \""" end each line with \\
g.toml:27: hypothesis.expect: 20 is out of range: accuracy is a fraction; write 0.2 for 20 %
"""


def test_all_mistakes_of_hypotheses_are_told_with_those_of_the_grid(write: Write) -> None:
    write(g=BAD)

    assert refusal("g.toml") == COMPLAINTS.splitlines()


@pytest.mark.parametrize("code", ["U+200B", "U+200D", "U+00A0", "U+0009", "U+202E"])
def test_a_character_that_cannot_be_seen_is_named(code: str, write: Write) -> None:
    claim = f"more{chr(int(code[2:], 16))}epochs"
    write(g=f"[base]\n[[hypothesis]]\nclaim = '{claim}'\nexpect = 'g > 0.5'\n")

    problem = (
        "is not one line of text that can be seen; "
        'write it in quotes, and in """ end each line with \\'
    )
    assert refusal("g.toml") == [f'g.toml:3: hypothesis.claim: "{printable(claim)}" {problem}']


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(
            "expect = 'epochs_4 > epochs_3'",
            "7: hypothesis.expect: no experiment is called epochs_4; did you mean epochs_5?",
            id="a name that isn't there",
        ),
        pytest.param(
            "expect = 'epochs_* > 0.5'",
            '7: hypothesis.expect: epochs_* means 3 experiments; write "best of", "mean of" or '
            '"each of" before it',
            id="several numbers at once",
        ),
        pytest.param(
            "expect = 'epochs_5 > epochs_3'\nmetric = 'test_accuracy'",
            "8: hypothesis.metric: epochs_5 will have no test_accuracy, since it is validated on "
            "the test images; write accuracy, or hold images out as in validation = 0.1",
            id="a metric that will not be there",
        ),
        pytest.param(
            f"expect = 'a > {'b' * 2_000}'",
            "7: hypothesis.expect: has 2,004 characters, and 2,000 are the limit; "
            "split it into several hypotheses",
            id="a very long expectation",
        ),
    ],
)
def test_what_the_experiments_cannot_answer_is_refused(
    write: Write, text: str, problem: str
) -> None:
    write(g=f"{EPOCHS}[[hypothesis]]\n{text}\nclaim = 'a'\n")

    assert refusal("g.toml") == [f"g.toml:{problem}"]


def test_a_long_claim_is_refused(write: Write) -> None:
    write(g=f"{EPOCHS}[[hypothesis]]\nclaim = '{'a' * 201}'\nexpect = 'epochs_5 > 0.5'\n")

    assert refusal("g.toml") == [
        (
            "g.toml:7: hypothesis.claim: has 201 characters, and 200 are the limit; "
            "say it in one short sentence"
        )
    ]


def test_a_hypothesis_about_an_axis_that_is_set_is_left_out(write: Write) -> None:
    write(g=EPOCHS + CLAIM)

    plan = plan_of("g.toml", overrides=["epochs=1"])
    assert plan.hypotheses == []
    assert list(map(str, plan.unanswerable)) == [
        "g.toml:9: hypothesis.expect: no experiment is called epochs_10; did you mean epochs_1?"
    ]
    assert plan_of("g.toml", overrides=["train_steps=1"]).hypotheses


def test_a_wrong_experiment_is_not_followed_by_complaints_about_hypotheses(write: Write) -> None:
    write(g=EPOCHS.replace("10]", "0]") + CLAIM)
    write(all=f"grids = ['g.toml']\n{CLAIM}")

    assert refusal("all.toml") == ["g.toml:4: grid.epochs: 0 is not a whole number from 1"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(
            "grids = 'epochs.toml'",
            '1: grids: "epochs.toml" is not a list of files; write grids = ["epochs.toml"]',
            id="text",
        ),
        pytest.param(
            "grids = []",
            '1: grids: [] is not a list of files; write grids = ["epochs.toml"]',
            id="no file",
        ),
        pytest.param(
            "grids = [\n'epochs.toml',\n3]",
            '3: grids: 3 is no file name; write grids = ["epochs.toml"]',
            id="a number",
        ),
        pytest.param(
            "grids = ['']", '1: grids: "" is no file name; write grids = ["epochs.toml"]', id="''"
        ),
        pytest.param(
            'grids = ["a\\u0000b"]',
            '1: grids: "a\\u0000b" is no file name; write grids = ["epochs.toml"]',
            id="a control character",
        ),
        pytest.param(
            "grids = [\n'nonesuch.toml']",
            '2: grids: "nonesuch.toml" is no file in .',
            id="a file that isn't there",
        ),
        pytest.param("grids = ['.']", '1: grids: "." is no file in .', id="a folder"),
        pytest.param(
            "grids = ['g.toml']",
            "1: grids: g.toml takes in files itself; name those files here",
            id="itself",
        ),
        pytest.param(
            "grids = ['epochs.toml', 'other.toml']",
            "1: grids: other.toml takes in files itself; name those files here",
            id="a file that takes in others",
        ),
        pytest.param(
            "seeds = [1]\ngrids = ['epochs.toml']",
            "1: seeds: says nothing of the files in grids, and there is no block beside them; "
            "write it in those files",
            id="seeds for no block",
        ),
    ],
)
def test_what_cannot_be_taken_in_is_refused_with_its_place(
    write: Write, text: str, problem: str
) -> None:
    write(epochs=EPOCHS, other="grids = ['epochs.toml']", g=text)

    assert refusal("g.toml") == [f"g.toml:{problem}"]


def test_a_mistake_in_a_file_that_is_taken_in_is_told_once(write: Write) -> None:
    write(epochs=EPOCHS.replace("10]", "0]"), units="[bas")
    write(all="grids = ['epochs.toml', 'units.toml']\n", more="grids = ['./units.toml']\n")

    assert refusal("all.toml", "more.toml", "epochs.toml") == [
        "epochs.toml:4: grid.epochs: 0 is not a whole number from 1",
        "units.toml:1: not TOML: expected ']' at the end of a table declaration",
    ]


def test_a_file_that_cannot_be_read_is_not_taken_in(write: Write) -> None:
    os.mkfifo("pipe.toml")
    write(all="grids = ['pipe.toml']\n")

    assert refusal("all.toml") == ['all.toml:1: grids: "pipe.toml" is no file in .']


# The study's


def test_the_study_states_its_hypotheses_and_its_further_claims() -> None:
    plan = load_plan([CONFIGS])
    claims = [stated.claim for stated in plan.hypotheses]

    assert {claim.partition(":")[0] for claim in claims if claim.startswith("H")} == {
        f"H{number}" for number in range(1, 7)
    }
    assert len(set(claims)) == len(claims) == 17
    for stated in plan.hypotheses:
        assert {*names_of(stated.resolved)} <= {*run_names(plan)}


def test_the_study_as_one_file_is_the_61_experiments_of_the_folder() -> None:
    whole, folder = load_plan([CONFIGS / "study.toml"]), load_plan([CONFIGS])

    assert sorted(run_names(whole)) == sorted(run_names(folder))
    assert len(run_names(whole)) == 61
    assert whole.records[-1].names == ()
    assert len(whole.hypotheses) == len(folder.hypotheses)


def test_the_claim_on_asymmetric_widths_compares_them_with_all_other_widths() -> None:
    plan = load_plan([CONFIGS / "units.toml"])
    [stated] = [stated for stated in plan.hypotheses if stated.claim.startswith("Asymmetric")]
    best, others = selections(stated.resolved)

    assert set(best) == {"units_128_512", "units_512_128"}
    assert {*best, *others} == set(plan.records[0].names)
    assert not {*best} & {*others}


def test_load_grids_is_the_plans_experiments() -> None:
    assert load_grids([CONFIGS]) == load_plan([CONFIGS]).definitions
