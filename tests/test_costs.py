from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmgrid.experiment import Experiment
from fmgrid.training.costs import estimate_seconds, estimate_wall_seconds

MLP = Experiment(name="mlp")


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 6},
        {"train_steps": 101},
        {"train_steps": "full"},
        {"train_steps": None, "train_images": 6401},
        {"batch_size": 65},
        {"hidden_units": (256, 257)},
        {"hidden_units": (256, 256, 1)},
    ],
    ids=str,
)
def test_more_work_costs_more(change: dict[str, object]) -> None:
    assert estimate_seconds(MLP.model_copy(update=change)) > estimate_seconds(MLP)


def test_the_cost_is_in_proportion_to_the_epochs() -> None:
    twice = MLP.model_copy(update={"epochs": 2 * MLP.epochs})
    assert isclose(estimate_seconds(twice), 2 * estimate_seconds(MLP))


def test_names_and_seeds_cost_nothing() -> None:
    other = Experiment(name="other", seed=5)
    assert estimate_seconds(other) == estimate_seconds(MLP)


@pytest.mark.parametrize(
    ("channels", "kernel_size", "seconds"),
    [([4], 3, 0.25), ([16], 3, 0.38), ([8, 8, 8], 5, 0.56), ([32, 64], 3, 1.6), ([32, 64], 5, 3.0)],
)
def test_a_cnn_takes_about_as_long_as_it_was_measured_to_take(
    channels: list[int], kernel_size: int, seconds: float
) -> None:
    cnn = Experiment(
        name="cnn",
        dataset="fashion-mnist-sample",
        epochs=2,
        train_steps=60,
        network="CNN",
        network_args={"channels": channels, "kernel_size": kernel_size},
    )
    assert seconds / 2.5 < estimate_seconds(cnn) < seconds * 2.5


def test_nothing_to_do_takes_no_time() -> None:
    assert estimate_wall_seconds([], 4) == 0


@given(st.lists(st.floats(0.01, 1e4), min_size=1), st.integers(1, 64))
def test_workers_share_the_costs_but_not_one_run(costs: list[float], workers: int) -> None:
    seconds = estimate_wall_seconds(costs, workers)
    assert seconds >= max(costs)
    assert seconds >= sum(costs) / workers
    assert seconds <= estimate_wall_seconds(costs, 1)
