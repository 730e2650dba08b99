"""Means over seeds that pictures draw."""

from itertools import count

import pytest

from fmgrid.analysis.effects import epoch_means, find_gaps, level_means
from fmgrid.analysis.experiments import ExperimentRuns
from fmgrid.experiment import EpochRecord
from made_up_runs import make_record
from made_up_studies import row, rows, study_of


def with_history(accuracies: dict[int, list[float]]) -> ExperimentRuns:
    """Return an experiment with an accuracy for each epoch, by seed; without any, no history."""
    (one,) = study_of(
        row("a", seed, {"history": [*map(record, count(1), by_epoch)]})
        for seed, by_epoch in accuracies.items()
    ).scored.values()
    return one


def record(epoch: int, accuracy: float) -> EpochRecord:
    return make_record(epoch, accuracy=accuracy, images_seen=10 * epoch)


def test_an_epoch_counts_where_all_runs_with_a_history_have_it() -> None:
    means = epoch_means([with_history({0: [0.1, 0.2, 0.3], 1: [0.3, 0.4], 2: [0.9]})], "accuracy")
    assert [(mean.epoch, mean.images, mean.estimate.n) for mean in means] == [(1, 10, 3)]
    means = epoch_means([with_history({0: [0.1, 0.2, 0.3], 1: [0.3, 0.4]})], "accuracy")
    assert [mean.estimate.mean for mean in means] == pytest.approx([0.2, 0.3])


def test_runs_without_a_history_do_not_count_and_no_history_gives_no_means() -> None:
    means = epoch_means([with_history({0: [0.1, 0.2], 1: []})], "accuracy")
    assert [mean.estimate.mean for mean in means] == [0.1, 0.2]
    assert epoch_means([with_history({0: [], 1: []})], "accuracy") == []


def test_the_mean_at_a_level_is_over_the_seeds_that_all_its_experiments_have() -> None:
    study = study_of(
        [
            *rows("a", {0: 0.2, 1: 0.4}, epochs=1, batch_size=8),
            *rows("b", {0: 0.4, 1: 0.6, 2: 0.9}, epochs=1, batch_size=16),
            *rows("c", {0: 0.5}, epochs=2, batch_size=8),
            *rows("d", {1: 0.7}, epochs=2, batch_size=16),
        ]
    )
    (group,) = study.groups
    means = level_means(group, group.axes[0], "accuracy")
    assert group.axes[0].name == "epochs"
    assert (means[1].n, means[1].mean) == (2, pytest.approx(0.4))
    assert (means[2].n, means[2].mean) == (1, pytest.approx(0.6))


def test_gaps_are_widest_first_and_say_whether_they_differ_significantly_from_zero() -> None:
    shifts = {"e0": 0.2, "e1": -0.3, "e2": 0.0}
    study = study_of(
        {**row, "valid_loss": 0.499 + 0.001 * row["seed"] + shift, "train_loss": 0.5}
        for epochs, (name, shift) in enumerate(shifts.items(), start=1)
        for row in rows(name, [0.8] * 4, epochs=epochs)
    )
    gaps = find_gaps(study)
    assert [gap.experiment.name for gap in gaps] == ["e0", "e2", "e1"]
    assert [gap.sign for gap in gaps] == [1, 0, -1]
    assert {gap.train_loss for gap in gaps} == {0.5}
