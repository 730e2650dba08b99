"""Words that people bring along get an answer: what to write, and nothing that is refused then."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fmgrid.errors import InputError, Place, Problem
from fmgrid.experiment import Experiment
from fmgrid.grid import load_plan
from fmgrid.grid.blocks import Written
from fmgrid.grid.hypotheses import Experiments, read_hypotheses, resolve
from fmgrid.hypotheses.language import ExpectationError, parse_expectation
from fmgrid.metrics import ALIASES
from fmgrid.settings import _NO_SETTING, SETTINGS, WIDTHS, meant_by, objection_to

EXPERIMENTS = [Experiment(name=f"epochs_{epochs}", epochs=epochs) for epochs in (3, 5)]


def mistakes(text: str, tmp_path: Path) -> list[str]:
    """The mistakes in a grid file, each with its line."""
    (tmp_path / "g.toml").write_text(text)
    with pytest.raises(InputError) as caught:
        load_plan([tmp_path / "g.toml"])
    return [str(problem).removeprefix(f"{tmp_path}/") for problem in caught.value.problems]


def refusal(text: str) -> str:
    with pytest.raises(ExpectationError) as caught:
        resolve(parse_expectation(text), Experiments({one.name: one for one in EXPERIMENTS}))
    return str(caught.value)


# In grids


def test_a_grid_in_the_words_of_another_program_is_answered_line_by_line(tmp_path: Path) -> None:
    grid = """\
lr = 0.1
momentum = 0.9
dropout = 0.1
name = "{lr}_{momentum}"
seed = 3
[base]
epoch = 3
weight_decay = 1e-4
random_state = 1
device = "cuda"
scheduler = "StepLR"
dept = 2
neurons = 64
filters = 16
wd = 0.1
bs = 32
init = "he"
num_classes = 10
[grid]
units1 = [64, 128]
units = [64]
layers = [1, 2]
batchsize = [32, 64]
lr = [1e-3]
dropout = [0.0, 0.2]
activation = ["relu", "tanh"]
"""
    assert mistakes(grid, tmp_path) == [
        "g.toml:1: lr: stands outside of a table; write learning_rate below [base]",
        "g.toml:2: momentum: stands outside of a table; write optimizer_args.momentum below [base]",
        "g.toml:3: dropout: stands outside of a table; write network_args.dropout below [base]",
        "g.toml:4: name: {lr} is no setting; did you mean learning_rate?",
        "g.toml:5: seed: no such key; write seeds = [0, 1, 2] at the top of the file",
        "g.toml:7: base.epoch: no such setting; did you mean epochs?",
        "g.toml:8: base.weight_decay: no such setting; did you mean optimizer_args.weight_decay?",
        (
            "g.toml:9: base.random_state: no such setting; "
            "write seeds = [0, 1, 2] at the top of the file"
        ),
        "g.toml:10: base.device: no such setting; networks are trained on the CPU",
        (
            "g.toml:11: base.scheduler: no such setting; "
            "the learning rate stays the same during a training"
        ),
        "g.toml:12: base.dept: no such setting; did you mean depth?",
        "g.toml:13: base.neurons: no such setting; did you mean units?",
        (
            'g.toml:14: base.filters: no such setting; write network = "CNN", and '
            "network_args.channels = [16, 32] for its convolutions"
        ),
        "g.toml:15: base.wd: no such setting; write optimizer_args.weight_decay = 1e-5",
        "g.toml:16: base.bs: no such setting; did you mean batch_size?",
        (
            "g.toml:17: base.init: no such setting; "
            'write network_args.initialization = "kaiming_normal"'
        ),
        "g.toml:18: base.num_classes: no such setting; the data set says how many there are",
        "g.toml:21: grid.units: stands beside units1; write one of the two",
        "g.toml:22: grid.layers: no such setting; did you mean hidden_units?",
        "g.toml:23: grid.batchsize: no such setting; did you mean batch_size?",
        "g.toml:24: grid.lr: no such setting; did you mean learning_rate?",
        "g.toml:25: grid.dropout: no such setting; did you mean network_args.dropout?",
        "g.toml:26: grid.activation: no such setting; did you mean network_args.activation?",
    ]


@pytest.mark.parametrize(
    ("word", "field"),
    [
        ("momentum", "write {optimizer_args[momentum]}"),
        ("unit2", "did you mean units2?"),
        ("batch", "did you mean batch_size?"),
        ("activation", "write {network_args[activation]}"),
    ],
)
def test_a_name_template_is_answered_with_a_field(word: str, field: str, tmp_path: Path) -> None:
    (mistake,) = mistakes(f'name = "{{{word}}}"\n[base]\n', tmp_path)
    assert mistake == f"g.toml:1: name: {{{word}}} is no setting; {field}"


@pytest.mark.parametrize(
    ("network", "argument", "answer"),
    [
        ("CNN", "filters", 'write network = "CNN", and network_args.channels = [16, 32] for its'),
        ("CNN", "batch_norm", 'write network_args.normalization = "batch"'),
        ("CNN", "hidden_size", "did you mean hidden_units?"),
        ("CNN", "units", "units is a setting of its own"),
        ("MLP", "num_classes", "the data set says how many there are"),
        ("MLP", "kernel", "it takes activation, dropout, "),  # nothing that it would refuse, too
    ],
)
def test_an_argument_in_the_words_of_another_program_is_answered(
    network: str, argument: str, answer: str, tmp_path: Path
) -> None:
    text = f'[base]\nnetwork = "{network}"\nnetwork_args.{argument} = 3\n'
    (mistake,) = mistakes(text, tmp_path)
    start = f"g.toml:3: base.network_args.{argument}: {network} takes no {argument}; "
    assert mistake.startswith(f"{start}{answer}")


@pytest.mark.parametrize("kind", ["grid", "zip"])
def test_one_list_as_an_axis_of_an_argument_that_takes_lists_is_answered(
    kind: str, tmp_path: Path
) -> None:
    text = f'[base]\nnetwork = "CNN"\n[[{kind}]]\nnetwork_args.channels = [8, 16]\n'
    for mistake in mistakes(text, tmp_path):
        assert mistake.endswith(f"; in [{kind}] a list is an axis: write a list of lists")


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("GRU", 'fmgrid has no network "GRU"; your own is "package.module:Class"; it has CNN, MLP'),
        ("net.py:Net", '"net.py" is no module; write "package.module:Class", without .py'),
    ],
)
def test_a_network_that_is_not_found_is_answered_with_how_to_name_it(
    name: str, answer: str, tmp_path: Path
) -> None:
    (mistake,) = mistakes(f'[base]\nnetwork = "{name}"\n', tmp_path)
    assert mistake == f"g.toml:2: base.network: {answer}"


def test_every_setting_that_is_proposed_is_one() -> None:
    entries = (*SETTINGS.values(), *WIDTHS.values())
    aliases = [alias for setting in entries for alias in setting.aliases]
    for word in aliases:
        assert objection_to(meant_by(word)) is None
    assert len({*aliases}) == len(aliases)


def test_a_word_of_which_fmgrid_says_that_it_has_none_is_no_setting() -> None:
    words = [word for words in _NO_SETTING.values() for word in words]
    assert not {*words} & {*SETTINGS}
    assert not any(map(meant_by, words))


# In hypotheses

SAME = "write no difference greater than 0.01 among a, b"
SIGN = 'write ">" for more or "<" for less; a better loss is less'
BEST = 'write "best of", the highest of accuracies and the lowest of losses, or "each of" for all'


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("average of epochs_* > 0.1", 'average at character 1: write "mean of"'),
        ("all of epochs_* > 0.1", 'all at character 1: write "each of"'),
        ("max of epochs_* > 0.1", f"max at character 1: {BEST}"),
        ("epochs_5 > min of epochs_*", f"min at character 12: {BEST}"),
        ("epochs_5 => epochs_3", '=> at character 10: write ">"'),
        ("epochs_5 ≥ epochs_3", '≥ at character 10: write ">"'),
        ("epochs_5 ≤ epochs_3", '≤ at character 10: write "<"'),
        ("epochs_5 <> epochs_3", "<> at character 10: there is no such comparison; write > or <"),
        ("epochs_5 ≈ epochs_3", f"≈ at character 10: {SAME}"),
        ("epochs_5 ~= epochs_3", f"~= at character 10: {SAME}"),
        ("epochs_5 same as epochs_3", f"same at character 10: {SAME}"),
        ("epochs_5 is the same as epochs_3", f"same at character 17: {SAME}"),
        ("epochs_5 = epochs_3", f"epochs_5: no such setting; for two experiments {SAME}"),
        ("epochs_5 is better than epochs_3", f"better at character 13: {SIGN}"),
        ("epochs_5 is greater than epochs_3", f"greater at character 13: {SIGN}"),
        ("epochs_5 beats epochs_3", f"beats at character 10: {SIGN}"),
        ("epochs = 5 beats epochs = 3", f"beats at character 12: {SIGN}"),
        ("epochs_5 > 80%", "80% at character 12: write 0.8, a fraction"),
        ("epochs_5 > epochs_3 by 1 %", "1 % at character 24: write 0.01, a fraction"),
        ("epochs_5 > epochs_3 by 7%", "7% at character 24: write 0.07, a fraction"),
        (
            "epochs_5 > epochs_3 by 1 point",
            "point at character 26: write a fraction, as in 0.01 for 1 %",
        ),
        (
            "epochs_5 or epochs_3 > 0.1",
            (
                'or at character 10: write "best of a, b" if one of them is enough, "each of a, b" '
                "if all must hold"
            ),
        ),
        ("epochs_5 > 0.1 and epochs_3 > 0.1", "and at character 16: write a hypothesis for each"),
        ("optim = Adam > epochs_5", "optim: no such setting; did you mean optimizer?"),
        ("lr = 0.1 > epochs_5", "lr: no such setting; did you mean learning_rate?"),
        ("momentum = 0.9 > epochs_5", "momentum: no such setting; did you mean optimizer_args.mom"),
        (
            "dropout = 0.9 > epochs_5",
            "dropout: no such setting; did you mean network_args.drop",
        ),
        (
            "accuracy > 0.8",
            (
                'no experiment is called accuracy; write metric = "accuracy" beside expect, '
                "and here each of *"
            ),
        ),
        ("loss < 0.3", 'no experiment is called loss; write metric = "valid_loss" beside expect'),
    ],
)
def test_what_people_say_of_a_comparison_is_answered_with_what_to_write(
    text: str, answer: str
) -> None:
    assert refusal(text).startswith(answer)


def problems_with(
    metric: str, validation: object = "test", expect: str = "epochs_5 > epochs_3"
) -> list[str]:
    """What is said of a hypothesis about two experiments."""
    experiments = [
        experiment.model_copy(update={"validation": validation}) for experiment in EXPERIMENTS
    ]
    place = Place("g.toml", 1)
    texts = {"claim": "It is so", "expect": expect, "metric": metric}
    table = {key: Written(text, place, key) for key, text in texts.items()}
    problems: list[Problem] = []
    read_hypotheses(
        [Written(table, place, "hypothesis")], experiments, datetime.now(UTC), problems, problems
    )
    return [str(problem).removeprefix("g.toml:1: ") for problem in problems]


@pytest.mark.parametrize(
    ("metric", "answer"),
    [
        ("loss", "did you mean valid_loss?"),
        ("val_loss", "did you mean valid_loss?"),
        ("acc", "did you mean accuracy?"),
        ("test_los", "write valid_loss, or hold images out as in validation = 0.1"),
    ],
)
def test_a_metric_by_another_name_is_answered(metric: str, answer: str) -> None:
    assert problems_with(metric) == [f'metric: "{metric}" is no metric; {answer}']


def test_test_loss_is_proposed_where_images_are_held_out() -> None:
    answer = 'metric: "test_los" is no metric; did you mean test_loss?'
    assert problems_with("test_los", validation=100) == [answer]


@pytest.mark.parametrize("word", [*ALIASES, "acuracy", "valid_los", "test_acc", "tset_loss", "f1"])
def test_a_metric_that_is_proposed_is_accepted(word: str) -> None:
    for validation in ("test", 100):
        (problem,) = problems_with(word, validation)
        if proposed := re.search(r"(?:mean|write) (\w+)", problem):
            assert problems_with(proposed[1], validation) == []


@pytest.mark.parametrize(
    ("expect", "number"),
    [
        ("epochs_5 > epochs_3 by 1", "1 is out of range: accuracy is a fraction; write 0.01 for 1"),
        ("no difference greater than 1 among epochs_*", "1 is out of range: accuracy is a fract"),
        ("epochs_5 > 80", "80 is out of range: accuracy is a fraction; write 0.8 for 80 %"),
        ("epochs_5 > 29", "29 is out of range: accuracy is a fraction; write 0.29 for 29 %"),
    ],
)
def test_points_and_percentages_are_no_fractions(expect: str, number: str) -> None:
    (problem,) = problems_with("accuracy", expect=expect)
    assert problem.startswith(f"expect: {number}")
    assert problems_with("valid_loss", expect=expect) == []
