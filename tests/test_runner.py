from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from fmgrid.components import as_taken
from fmgrid.execution import Finished, Report
from fmgrid.execution.inline import Inline
from fmgrid.experiment import Experiment, Failure, Run
from fmgrid.results.store import Store
from fmgrid.search import AgendaItem, make_agenda
from fmgrid.settings import describe_change
from fmgrid.training.costs import estimate_seconds
from made_up_grids import InTurn, run_agenda, run_made_up
from made_up_runs import make_run

Train: TypeAlias = Callable[[Experiment], Run]


class Backwards(Inline):
    """An executor that takes all tasks at once, and of which the last is the first to end."""

    has_room = True  # type: ignore[assignment]

    def events(self, report: Report) -> Iterator[Finished]:
        self._waiting.reverse()
        return super().events(report)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "modellogs")


@pytest.fixture
def trained() -> list[str]:
    """Return the names of what `train` was called with."""
    return []


@pytest.fixture
def train(trained: list[str]) -> Train:
    def train(experiment: Experiment) -> Run:
        trained.append(experiment.run_name)
        return make_run(experiment)

    return train


def fail(experiment: Experiment) -> Run:
    return make_run(experiment, status="failed", failure=Failure(message="no luck"))


def mlp(name: str, train_steps: int = 1, seed: int = 0) -> Experiment:
    return Experiment(name=name, epochs=1, train_steps=train_steps, seed=seed)


def run(experiments: Iterable[Experiment], store: Store, train: Train) -> list[Run]:
    return run_made_up(experiments, store, train)


def survey(experiments: Iterable[Experiment], store: Store) -> list[AgendaItem]:
    return list(make_agenda(experiments, store).items)


def states(experiments: Iterable[Experiment], store: Store) -> list[str]:
    return [found.state for found in survey(experiments, store)]


def names(runs: Iterable[Run]) -> list[str]:
    return [run.experiment.run_name for run in runs]


def test_only_what_is_missing_is_trained(store: Store, train: Train, trained: list[str]) -> None:
    run([mlp("a"), mlp("b", 2)], store, train)
    trained.clear()
    runs = run([mlp("a"), mlp("c", 3), mlp("b", 2), mlp("a", 1, seed=1)], store, train)
    assert trained == names(runs) == ["c", "a_s1"]
    assert run([mlp("a"), mlp("b", 2)], store, train) == []


def test_the_longest_starts_first(store: Store, train: Train, trained: list[str]) -> None:
    run([mlp("short", 1), mlp("long", 9), mlp("medium", 5)], store, train)
    assert trained == ["long", "medium", "short"]


def test_runs_of_one_cost_start_in_the_order_of_the_grid(
    store: Store, train: Train, trained: list[str]
) -> None:
    experiments = [mlp("mlp", seed=seed) for seed in (3, 1, 2)]
    assert len(set(map(estimate_seconds, experiments))) == 1
    run(experiments, store, train)
    assert trained == ["mlp_s3", "mlp_s1", "mlp_s2"]


def test_a_run_is_stored_before_it_is_told_of(store: Store, train: Train) -> None:
    experiments = [mlp("a", 2), mlp("b", 1), mlp("twin", 1)]
    agenda = make_agenda(experiments, store)
    for told in run_agenda(agenda, store, train):
        assert store.read(told.experiment.run_name) == told


def test_runs_are_told_of_in_the_order_in_which_they_end(store: Store, train: Train) -> None:
    agenda = make_agenda([mlp("long", 2), mlp("short", 1), mlp("twin", 1)], store)
    runs = run_agenda(agenda, store, train, Backwards())
    assert names(runs) == ["short", "twin", "long"]


def test_equal_experiments_are_trained_once(store: Store, train: Train, trained: list[str]) -> None:
    experiments = [mlp("a"), mlp("b"), mlp("other", 2), mlp("c")]
    runs = run(experiments, store, train)
    assert trained == ["other", "a"]
    assert names(runs) == ["other", "a", "b", "c"]


def test_each_name_of_an_experiment_has_a_complete_folder_that_says_what_it_shares(
    store: Store, train: Train
) -> None:
    run([mlp("a"), mlp("b")], store, train)
    original, twin = store.read("a"), store.read("b")
    assert original is not None
    assert original.trained_as is None
    assert twin == original.model_copy(update={"experiment": mlp("b"), "trained_as": "a"})
    assert len(list(store.folder("b").glob("*"))) == len(list(store.folder("a").glob("*"))) == 3
    assert store.log_file("b").read_text() == "training a"


def epochs(name: str, count: int, **settings: Any) -> Experiment:
    return Experiment(name=name, epochs=count, **settings)


def test_the_longest_of_trainings_that_begin_alike_serves_all(
    store: Store, train: Train, trained: list[str]
) -> None:
    experiments = [epochs("three", 3), epochs("ten", 10), epochs("five", 5), epochs("ten_too", 10)]
    runs = run(experiments, store, train)
    assert trained == ["ten"]
    assert names(runs) == ["ten", "three", "five", "ten_too"]
    for told in runs:
        stored, alone = store.read(told.experiment.run_name), make_run(told.experiment)
        assert stored == told
        assert told.history == alone.history
        assert told.trained_as == (None if told.experiment.name == "ten" else "ten")
    assert [told.seconds for told in runs] == [3.25, 3.0, 5.0, 3.25]


def test_a_longer_run_on_disk_answers_a_shorter_one_and_not_the_reverse(
    store: Store, train: Train, trained: list[str]
) -> None:
    run([epochs("five", 5)], store, train)
    trained.clear()
    wanted = [epochs("five", 5), epochs("three", 3), epochs("ten", 10), epochs("nine", 9)]
    assert make_agenda(wanted, store).trainings == [wanted[2]]
    runs = run(wanted, store, train)
    assert trained == ["ten"]
    assert [(told.experiment.name, told.trained_as) for told in runs] == [
        ("three", "five"),
        ("ten", None),
        ("nine", "ten"),
    ]


def test_where_the_longest_fails_the_shorter_are_trained_for_themselves(
    store: Store, trained: list[str]
) -> None:
    def train(experiment: Experiment) -> Run:
        trained.append(experiment.name)
        return fail(experiment) if experiment.epochs > 5 else make_run(experiment)

    experiments = [epochs("three", 3), epochs("ten", 10), epochs("five", 5), epochs("ten_too", 10)]
    runs = run(experiments, store, train)
    assert trained == ["ten", "five"]
    assert names(runs) == ["ten", "ten_too", "five", "three"]
    assert states(experiments, store) == ["complete", "failed", "complete", "failed"]


def test_a_training_that_ends_with_the_test_images_contains_no_other(
    store: Store, train: Train, trained: list[str]
) -> None:
    run([epochs("three", 3, validation=500), epochs("ten", 10, validation=500)], store, train)
    assert trained == ["ten", "three"]


def test_equal_settings_with_other_seeds_are_no_twins(
    store: Store, train: Train, trained: list[str]
) -> None:
    run([mlp("a"), mlp("b", seed=1)], store, train)
    assert len(trained) == 2


def test_a_new_name_for_a_finished_run_is_shared_from_disk(
    store: Store, train: Train, trained: list[str]
) -> None:
    run([mlp("a"), mlp("b")], store, train)
    trained.clear()
    runs = run([mlp("new"), mlp("b"), mlp("newer")], store, train)
    assert trained == []
    assert names(runs) == ["new", "newer"]
    # b itself shares: what is told is where the training was
    assert {told.trained_as for told in runs} == {"a"}
    assert store.log_file("new").read_text() == "training a"


def test_what_is_on_disk_is_shared_before_anything_is_trained(store: Store, train: Train) -> None:
    run([mlp("a")], store, train)
    assert names(run([mlp("long", 9), mlp("twin"), mlp("a")], store, train)) == ["twin", "long"]


def test_a_failed_training_is_the_failure_of_all_its_names(store: Store, train: Train) -> None:
    experiments = [mlp("a"), mlp("b")]
    runs = run(experiments, store, fail)
    assert [(told.status, told.trained_as) for told in runs] == [("failed", None), ("failed", "a")]
    assert states(experiments, store) == ["failed", "failed"]
    assert run(experiments, store, train) == []  # whether to try again isn't the runner's choice


def test_a_failed_run_on_disk_is_not_shared(store: Store, train: Train, trained: list[str]) -> None:
    run([mlp("a")], store, fail)
    run([mlp("a"), mlp("b")], store, train)
    assert trained == ["b"]


def test_one_failure_leaves_the_others_alone(store: Store) -> None:
    def train(experiment: Experiment) -> Run:
        return fail(experiment) if experiment.name == "b" else make_run(experiment)

    experiments = [mlp("a", 3), mlp("b", 2), mlp("c", 1)]
    run(experiments, store, train)
    assert states(experiments, store) == ["complete", "failed", "complete"]


@pytest.mark.parametrize("told", range(5))
def test_stopping_after_any_run_leaves_the_rest_to_the_next_time(
    told: int, store: Store, train: Train, trained: list[str]
) -> None:
    experiments = [mlp("a", 3), mlp("b", 2), mlp("twin", 3), mlp("c", 1)]
    runs = run_agenda(make_agenda(experiments, store), store, train)
    done = [next(runs) for _ in range(min(told, 4))]
    runs.close()  # type: ignore[attr-defined]
    assert states(experiments, store).count("complete") == len(done)
    rest = run(experiments, store, train)
    assert sorted(names(done) + names(rest)) == ["a", "b", "c", "twin"]
    assert sorted(trained) == ["a", "b", "c"]


def test_stopping_early_stops_the_executor_at_once(store: Store, train: Train) -> None:
    ended = []

    class Noting(InTurn):
        def events(self, report: Report) -> Iterator[Finished]:
            try:
                yield from super().events(report)
            finally:
                ended.append(True)

    agenda = make_agenda([mlp("a"), mlp("b", 2)], store)
    runs = run_agenda(agenda, store, train, Noting())
    next(runs)
    runs.close()  # type: ignore[attr-defined]
    assert ended


def test_folders_are_made_when_their_runs_start(store: Store) -> None:
    seen = []

    def train(experiment: Experiment) -> Run:
        seen.append({path.name for path in store.root.iterdir() if path.is_dir()})
        return make_run(experiment)

    run([mlp("a", 3), mlp("b", 2), mlp("c", 1)], store, train)
    assert seen == [{"a"}, {"a", "b"}, {"a", "b", "c"}]


def test_looking_at_a_folder_makes_none(store: Store) -> None:
    assert states([mlp("a"), mlp("b")], store) == ["pending", "pending"]
    assert not store.root.exists()


@pytest.mark.parametrize("status", ["complete", "failed", "timeout"])
def test_a_finished_run_has_the_state_it_ended_in(status: str, store: Store) -> None:
    run([mlp("a")], store, lambda experiment: make_run(experiment, status=status))
    (found,) = survey([mlp("a")], store)
    assert found.state == status
    assert found.run == make_run(mlp("a"), status=status)


def test_an_unfinished_run_is_pending(store: Store) -> None:
    store.begin("a")
    assert states([mlp("a")], store) == ["pending"]


def test_other_settings_under_the_same_name_are_a_change_that_is_named(
    store: Store, train: Train, trained: list[str]
) -> None:
    run([mlp("a", 5)], store, train)
    changed = Experiment(name="a", epochs=1, train_steps=3, hidden_units=(16,))
    (found,) = survey([changed], store)
    assert found.state == "changed"
    assert found.note == "train_steps 5 -> 3, hidden_units [256, 256] -> [16]"
    trained.clear()
    assert run([changed], store, train) == []
    assert trained == []


def test_a_name_that_looks_like_a_seed_is_a_change_too(store: Store, train: Train) -> None:
    run([mlp("a_s1")], store, train)
    (found,) = survey([mlp("a", seed=1)], store)
    assert (found.state, found.note) == ("changed", 'name "a_s1" -> "a", seed 0 -> 1')


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [0.9, 0.99], -0.0, 10**30])
def test_no_argument_of_an_optimizer_looks_changed_when_it_is_read_again(
    value: object, store: Store, train: Train
) -> None:
    experiment = Experiment(name="a", optimizer_args={"x": value})
    run([experiment], store, train)
    assert states([experiment], store) == ["complete"]


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("spoil", [damage, replace_by_folder])
def test_damaged_results_are_named_and_are_to_be_moved_and_trained_again(
    spoil: Callable[[Path], None], store: Store, train: Train
) -> None:
    run([mlp("a"), mlp("b", 2)], store, train)
    spoil(store.results_file("a"))
    found, other = survey([mlp("a"), mlp("b", 2)], store)
    assert (found.state, other.state) == ("damaged", "complete")
    assert found.run is None
    assert str(store.results_file("a")) in found.note
    agenda = make_agenda([mlp("a"), mlp("b", 2)], store)
    assert (agenda.set_aside, agenda.wanted) == ([found], [mlp("a")])


def test_what_is_counted_is_what_is_trained(store: Store, train: Train, trained: list[str]) -> None:
    run([mlp("a"), mlp("b", 2)], store, train)
    trained.clear()
    experiments = [mlp("a"), mlp("twin"), mlp("c", 3), mlp("d", 4), mlp("c_again", 3)]
    counted = make_agenda(experiments, store).trainings
    run(experiments, store, train)
    assert sorted(experiment.run_name for experiment in counted) == sorted(trained) == ["c", "d"]


def test_equal_experiments_have_no_changes() -> None:
    assert describe_change(mlp("a"), mlp("a")) == ""


def test_a_change_from_steps_to_images_is_told_without_a_word_of_pythons() -> None:
    changed = Experiment(name="a", train_images=6400)
    told = describe_change(Experiment(name="a"), changed)
    assert told == "train_steps 100 -> none, train_images none -> 6400"


PLUG_IN = "somebodys_package:Optimizer"


@pytest.mark.parametrize(
    ("setting", "before", "now", "state"),
    [
        ((PLUG_IN, "warm"), 1, True, "changed"),
        ((PLUG_IN, "warm"), False, 0, "changed"),
        ((PLUG_IN, "warm"), 0, 0.0, "changed"),
        ((PLUG_IN, "warm"), [1], [True], "changed"),
        ((PLUG_IN, "warm"), True, True, "complete"),
        (("SGD", "nesterov"), 1, True, "changed"),
        (("SGD", "momentum"), 0, 0.0, "complete"),
        (("Adam", "betas"), [0, 1e-3], [0.0, 1e-3], "complete"),
    ],
)
def test_a_run_is_finished_for_what_trains_to_its_bits_and_for_nothing_else(
    store: Store, setting: tuple[str, str], before: Any, now: Any, state: str
) -> None:
    optimizer, argument = setting

    def asked(value: Any) -> Experiment:
        args = {argument: value}
        return as_taken(Experiment(name="x", epochs=1, optimizer=optimizer, optimizer_args=args))

    written = Experiment(
        name="x", epochs=1, optimizer=optimizer, optimizer_args={argument: before}
    )  # as version 0.1 wrote it
    store.begin("x")
    store.save(make_run(written))

    (found,) = survey([asked(now)], store)

    assert found.state == state
    assert (argument in found.note) == (state == "changed")


# Never twice, whatever the name


def test_what_another_grid_has_trained_under_another_name_is_shared(
    store: Store, train: Train, trained: list[str]
) -> None:
    run([mlp("a", 3), mlp("b", 2)], store, train)
    trained.clear()
    wanted = [mlp("new_a", 3), mlp("new_c", 4)]
    agenda = make_agenda(wanted, store)
    assert (agenda.trainings, names(agenda.sources)) == ([wanted[1]], ["a"])
    runs = run(wanted, store, train)
    assert trained == ["new_c"]
    assert [(told.experiment.name, told.trained_as) for told in runs] == [
        ("new_a", "a"),
        ("new_c", None),
    ]
    shared = store.read("new_a")
    assert shared == runs[0]
    assert store.log_file("new_a").read_text() == "training a"
    assert make_agenda(wanted, store).wanted == []


def test_a_shorter_training_is_shared_from_another_grids_longer_one(
    store: Store, train: Train, trained: list[str]
) -> None:
    run([epochs("ten", 10)], store, train)
    (shared,) = run([epochs("three", 3)], store, train)
    assert (trained, shared.trained_as, len(shared.history)) == (["ten"], "ten", 3)


def test_a_shared_result_stays_valid_when_its_origin_is_set_aside(
    store: Store, train: Train, trained: list[str]
) -> None:
    run([mlp("a")], store, train)
    run([mlp("b")], store, train)
    before = store.read("b")
    store.set_aside("a")
    assert store.read("b") == before
    assert states([mlp("b")], store) == ["complete"]
    assert names(run([mlp("again")], store, train)) == ["again"]
    assert trained == ["a"]


@pytest.mark.parametrize("status", ["failed", "timeout", "pruned"])
def test_another_grids_run_that_did_not_complete_is_not_shared(
    status: str, store: Store, train: Train, trained: list[str]
) -> None:
    run([mlp("a")], store, lambda experiment: make_run(experiment, status=status))
    run([mlp("b")], store, train)
    assert trained == ["b"]


def test_results_under_another_name_than_their_folders_are_not_shared(
    store: Store, train: Train, trained: list[str]
) -> None:
    run([mlp("a")], store, train)
    store.folder("a").rename(store.folder("copy"))
    store.results_file("copy").with_name("a_results.toml").rename(store.results_file("copy"))
    run([mlp("b")], store, train)
    assert trained == ["a", "b"]


def test_damaged_results_of_another_grid_are_not_shared(
    store: Store, train: Train, trained: list[str]
) -> None:
    run([mlp("a")], store, train)
    damage(store.results_file("a"))
    run([mlp("b")], store, train)
    assert trained == ["a", "b"]
