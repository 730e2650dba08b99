"""Settings and metrics are tables: what is asked of any entry."""

import pytest

from fmgrid.experiment import Experiment
from fmgrid.metrics import COLUMNS, METRICS, _best, _last, finite
from fmgrid.results.mltrainer_logs import LoggedEpoch, LoggedRun
from fmgrid.settings import (
    SETTINGS,
    is_same,
    label_of,
    objection_to,
    show,
    show_toml,
    to_toml,
    value_at,
)
from made_up_runs import make_run

EXPERIMENT = Experiment(
    name="any",
    hidden_units=[64, 32],
    optimizer="SGD",
    optimizer_args={"momentum": 0.9, "nested": {"betas": [0.9, 0.99]}},
)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("epochs", 5),
        ("hidden_units", (64, 32)),
        ("hidden_units.1", 32),
        ("hidden_units.2", None),
        ("units1", 64),
        ("units3", None),
        ("depth", 2),
        ("optimizer_args.momentum", 0.9),
        ("optimizer_args.nested.betas", [0.9, 0.99]),
        ("optimizer_args.nesterov", None),
        ("epochs.0", None),
        ("no_such", None),
    ],
)
def test_a_value_is_found_by_its_path(path: str, value: object) -> None:
    keys = path.split(".")
    assert value_at(EXPERIMENT, keys) == value
    assert value_at(EXPERIMENT.model_dump(), keys) == value


def test_every_setting_can_be_named_and_has_a_label() -> None:
    for name in SETTINGS:
        assert objection_to([name]) is None
        assert label_of(name)


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("lr", "did you mean learning_rate?"),
        ("batchsize", "did you mean batch_size?"),
        ("epoch", "did you mean epochs?"),
        ("hiden_units", "did you mean hidden_units?"),
        ("hidden_units.first", "hidden_units.0"),
        ("epochs.0", "write epochs = ..."),
        ("optimizer_args.a-b", "letters, digits and _"),
    ],
)
def test_a_path_that_names_no_setting_is_answered(path: str, hint: str) -> None:
    assert hint in str(objection_to(path.split(".")))


def test_values_of_different_types_are_never_the_same() -> None:
    assert is_same((1, 2), [1, 2])
    assert not is_same(1, True)
    assert not is_same(1, 1.0)
    assert not is_same(0.0, -0.0)


def test_values_are_shown_to_people_and_as_toml() -> None:
    assert show((256, 128)) == "256 128"
    assert show("lion_pytorch:Lion") == "Lion"
    assert show({"momentum": 0.9}) == "momentum 0.9"
    assert to_toml({"a b": [True, "x", 0.1]}) == '{ "a b" = [true, "x", 0.1] }'
    assert show_toml(16**30) == str(16**30)
    assert show_toml(-(2**63)) == "-9223372036854775808"
    assert show_toml(16**5000).startswith("0x1000")


def test_a_field_that_an_epoch_lacks_is_a_missing_metric() -> None:
    logged = LoggedRun({}, (LoggedEpoch(1, 0.5, 0.5, 0.8, 1e-3, 1.0),))
    for follow in (_last, _best):
        assert follow("accuracy")(logged) == 0.8
        assert follow("weight_norm")(logged) is None


def test_every_metric_follows_from_a_run() -> None:
    run = make_run()
    values = {name: metric.of(run) for name, metric in METRICS.items()}
    assert values["accuracy"] == run.history[-1].accuracy
    assert values["overfitting_gap"] == run.history[-1].valid_loss - run.history[-1].train_loss
    assert set(COLUMNS) == set(METRICS) - {"overfitting_gap"}


def test_what_cannot_be_computed_with_is_no_figure() -> None:
    assert finite(0.5) == 0.5
    assert finite(None) is None
    assert finite(float("inf")) is None
    assert finite(float("nan")) is None
