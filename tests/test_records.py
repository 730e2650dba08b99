import operator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fmgrid.components.datasets import objection_to_workload, workload_of
from fmgrid.data.catalogue import DATASETS
from fmgrid.experiment import Experiment, Failure, Record, subseed, typed
from fmgrid.metrics import METRICS
from made_up_runs import make_record, make_run

# Whoever changes one of these orphans every finished run: results are found by them.
FINGERPRINTS = {
    "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a": {},
    "604f2a971f94ada9dab86294236c20db225ef669f000d22cc55f562e1256777e": {"seed": 3, "epochs": 7},
    "e1fc8a1600c9558b338c264955f276be7fa0e88df9d8d3f053dcc4c7e2f2020d": {
        "dataset": "fashion-mnist-sample",
        "validation": 500,
        "train_steps": "full",
        "batch_size": 16,
        "hidden_units": (32,),
        "learning_rate": 0.1,
        "optimizer": "SGD",
        "optimizer_args": {"momentum": 0.9, "nesterov": True},
    },
    "a4bb844ac2a0a77e7d7852d75de26051d3a3908157ab4a8ff91d129bb0f5c34a": {"train_images": 6400},
}
DEFAULTS = {
    "dataset": "fashion-mnist",
    "validation": "test",
    "epochs": 5,
    "train_steps": 100,
    "train_images": None,
    "batch_size": 64,
    "network": "MLP",
    "dataset_args": {},
    "content": None,
    "network_args": {},
    "hidden_units": (256, 256),
    "learning_rate": 0.001,
    "optimizer": "Adam",
    "optimizer_args": {},
    "precision": "float32",
    "layout": "auto",
    "standardize": False,
    "seed": 0,
}
OTHER_VALUES = {
    "dataset": "fashion-mnist-sample",
    "validation": 500,
    "epochs": 6,
    "train_steps": "full",
    "train_images": 6400,
    "batch_size": 65,
    "network": "CNN",
    "dataset_args": {"size": [32, 32]},
    "content": "0" * 64,
    "network_args": {"dropout": 0.5},
    "hidden_units": (256,),
    "learning_rate": 0.002,
    "optimizer": "SGD",
    "optimizer_args": {"weight_decay": 0.1},
    "precision": "bf16",
    "layout": "contiguous",
    "standardize": True,
    "seed": 1,
}

lengths = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"train_steps": st.just("full") | st.integers(1, 10**6)}),
    st.fixed_dictionaries({"train_images": st.integers(1000, 10**6), "train_steps": st.none()}),
)
others = st.fixed_dictionaries(
    {},
    optional={
        "validation": st.just("test") | st.integers(1, 1000) | st.floats(0.001, 0.5),
        "standardize": st.booleans(),
        "epochs": st.integers(1, 10**6),
        "batch_size": st.integers(1, 1000),
        "hidden_units": st.lists(st.integers(1, 4096), max_size=5).map(tuple),
        "learning_rate": st.floats(0, 10, exclude_min=True),
        "seed": st.integers(0, 2**31 - 1),
    },
)
settings = st.builds(operator.or_, others, lengths)


@pytest.mark.parametrize("record", [Experiment(name="mlp"), make_record(1), make_run()])
def test_a_record_cannot_be_changed(record: Record) -> None:
    for field in type(record).model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(record, field, None)


def test_changing_the_arguments_an_experiment_was_made_from_leaves_it_alone() -> None:
    arguments: dict[str, Any] = {"betas": [0.9, 0.99]}
    experiment = Experiment(name="mlp", optimizer_args=arguments)
    arguments["betas"][0] = 0.5
    arguments["amsgrad"] = True
    assert experiment.optimizer_args == {"betas": [0.9, 0.99]}


def test_experiments_do_not_share_their_default_arguments() -> None:
    Experiment(name="mlp").optimizer_args["momentum"] = 0.9
    assert Experiment(name="mlp").optimizer_args == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", "5"),
        ("epochs", True),
        ("epochs", 5.0),
        ("epochs", 0),
        ("epochs", 2**31),
        ("learning_rate", "0.1"),
        ("learning_rate", True),
        ("learning_rate", 0.0),
        ("learning_rate", float("inf")),
        ("learning_rate", float("nan")),
        ("hidden_units", 16),
        ("hidden_units", [16, 0]),
        ("hidden_units", [16, "16"]),
        ("train_steps", "all"),
        ("train_images", "full"),
        ("train_images", 6400.0),
        ("train_images", 0),
        ("validation", 0),
        ("dataset", 1),
        ("seed", -1),
        ("seed", 2**31),
        ("name", 1),
        ("unheard_of", 1),
    ],
)
def test_types_and_ranges_are_exact(field: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=field):
        Experiment(**({"name": "mlp"} | {field: value}))


def test_a_list_of_units_becomes_a_tuple() -> None:
    assert Experiment(name="mlp", hidden_units=[16, 32]).hidden_units == (16, 32)


def test_no_default_has_changed() -> None:
    assert Experiment(name="mlp").model_dump(exclude={"name"}) == DEFAULTS


@pytest.mark.parametrize(("fingerprint", "chosen"), FINGERPRINTS.items())
def test_fingerprints_are_those_of_the_first_release(
    fingerprint: str, chosen: dict[str, Any]
) -> None:
    assert Experiment(name="mlp", **chosen).fingerprint == fingerprint


@given(settings)
def test_the_fingerprint_is_blind_to_names_and_spelled_out_defaults(chosen: dict[str, Any]) -> None:
    terse = Experiment(name="a", **chosen)
    spelled_out = Experiment(name="b", **(DEFAULTS | chosen))
    assert terse.fingerprint == spelled_out.fingerprint


@pytest.mark.parametrize(("field", "value"), OTHER_VALUES.items())
def test_the_fingerprint_covers_every_setting(field: str, value: Any) -> None:
    assert OTHER_VALUES.keys() == DEFAULTS.keys()
    changed = Experiment(name="mlp", **{field: value})
    assert changed.fingerprint != Experiment(name="mlp").fingerprint


def test_a_setting_added_with_a_default_leaves_fingerprints_alone() -> None:
    class Later(Experiment):
        dropout: float = 0.0

    for fingerprint, chosen in FINGERPRINTS.items():
        assert Later(name="mlp", **chosen).fingerprint == fingerprint
    assert Later(name="mlp", dropout=0.5).fingerprint not in FINGERPRINTS


def test_arguments_that_are_no_ordinary_numbers_are_told_apart() -> None:
    odd = [float("inf"), float("-inf"), float("nan"), 0.0, -0.0, None, "inf", "nan"]
    fingerprints = {
        Experiment(name="mlp", optimizer_args={"eps": value}).fingerprint for value in odd
    }
    assert len(fingerprints) == len(odd)


@pytest.mark.parametrize(
    ("seed", "run_name"), [(0, "mlp"), (1, "mlp_s1"), (2**31 - 1, "mlp_s2147483647")]
)
def test_seed_0_bears_the_plain_name(seed: int, run_name: str) -> None:
    assert Experiment(name="mlp", seed=seed).run_name == run_name


def test_streams_of_random_numbers_do_not_change_between_releases() -> None:
    assert subseed(0, "batches") == 18062943137476448
    assert subseed(1, "batches") == 55622445075280734
    assert subseed(0, "training") == 26962772879181041


def test_seeds_and_purposes_have_streams_of_their_own() -> None:
    purposes = ["batches", "training", "weights", "1/batches"]
    seeds = {subseed(seed, purpose) for seed in range(1000) for purpose in purposes}
    assert len(seeds) == 1000 * len(purposes)
    assert all(0 <= seed < 2**63 for seed in seeds)  # what torch takes


@given(settings)
def test_counts_follow_from_the_settings(chosen: dict[str, Any]) -> None:
    experiment = Experiment(name="mlp", dataset="fashion-mnist-sample", **chosen)
    assert experiment.depth == len(experiment.hidden_units)
    info, workload = DATASETS[experiment.dataset], workload_of(experiment)
    if experiment.validation == "test":
        assert workload[:2] == (info.train_images, info.test_images)
    else:
        number = experiment.validation * (2000 if experiment.validation < 1 else 1)
        assert workload.valid_images == round(number)
        assert workload.train_set_size + workload.valid_images == 2000
    if isinstance(experiment.train_steps, int):
        assert workload.steps_per_epoch == experiment.train_steps
    else:
        images = experiment.train_images or workload.train_set_size
        seen = workload.steps_per_epoch * experiment.batch_size
        assert seen - experiment.batch_size < images <= seen


def test_a_number_of_images_takes_the_place_of_the_steps() -> None:
    experiment = Experiment(name="mlp", train_images=6400)
    assert (experiment.train_steps, workload_of(experiment).steps_per_epoch) == (None, 100)
    assert Experiment(name="mlp", train_steps=None, train_images=6400) == experiment
    assert Experiment.model_validate_json(experiment.model_dump_json()) == experiment
    assert experiment.prefix_key != Experiment(name="mlp").prefix_key
    assert experiment.prefix_key == Experiment(name="mlp", train_images=6400, epochs=9).prefix_key


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"train_images": 6400, "train_steps": 100}, "train_steps or train_images .*; write one"),
        (
            {"train_images": 6400, "train_steps": "full"},
            "train_steps or train_images .*; write one",
        ),
        ({"train_steps": None}, "train_steps or train_images .*; write one"),
        ({"train_images": 63}, "batch_size = 64 exceeds train_images = 63; write one that fits"),
    ],
)
def test_an_epoch_has_one_length(chosen: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Experiment(name="mlp", **chosen)


def test_a_linear_model_has_no_depth() -> None:
    assert Experiment(name="mlp", hidden_units=()).depth == 0


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"validation": 60_000}, "validation = 60000 leaves none of the 60000 images"),
        (
            {"validation": 59_990, "batch_size": 11},
            "batch_size = 11 exceeds the 10 training images",
        ),
        ({"batch_size": 60_001}, "batch_size = 60001 exceeds the 60,000 training images"),
        (
            {"validation": 0.9, "batch_size": 6_001},
            "batch_size = 6001 exceeds the 6,000 training images",
        ),
        (
            {"validation": 1e-6},
            "validation = 1e-06 holds out none of the 60000 images; write a larger share",
        ),
        (
            {"validation": 0.999999, "dataset": "digits"},
            "validation = 0.999999 leaves none of the 1500 images",
        ),
        (
            {"validation": "valid"},
            (
                'validation = "valid" needs a third set, which fashion-mnist lacks; '
                "write a share of the training images, as in validation = 0.1"
            ),
        ),
    ],
)
def test_settings_that_leave_too_few_images_are_refused(
    chosen: dict[str, Any], message: str
) -> None:
    assert objection_to_workload(Experiment(name="mlp", **chosen)) == message


def test_settings_that_fit_the_data_set_are_not_refused() -> None:
    fits = Experiment(name="mlp", validation=59_990, batch_size=10)
    assert objection_to_workload(fits) is None


def test_the_best_epoch_is_the_first_of_the_highest_accuracy() -> None:
    accuracies = [0.1, 0.9, 0.9, 0.5]
    history = tuple(make_record(n, accuracy=value) for n, value in enumerate(accuracies, 1))
    run = make_run(Experiment(name="mlp", epochs=4), history=history)
    assert METRICS["best_epoch"].of(run) == 2
    assert METRICS["best_accuracy"].of(run) == 0.9
    assert run.final is history[3]


def test_a_run_that_ended_before_its_first_epoch_has_no_best() -> None:
    run = make_run(history=(), status="failed")
    assert METRICS["best_epoch"].of(run) is None
    assert run.final is None


def test_an_error_that_names_an_undecodable_file_can_be_recorded() -> None:
    failure = Failure(message="no file caf\udce9", traceback="open('caf\udce9')")
    assert failure.message == r"no file caf\udce9"
    assert failure.traceback == r"open('caf\udce9')"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (0, False),
        (0, 0.0),
        (1.0, True),
        ([1, 2], [True, 2]),
        ({"a": 0}, {"a": False}),
        ({"a": [1]}, {"a": [1.0]}),
        ("1", 1),
    ],
)
def test_values_that_toml_tells_apart_are_never_equal(one: Any, other: Any) -> None:
    first, second = (Experiment(name="x", optimizer_args={"warm": v}) for v in (one, other))
    assert first != second
    assert len({first, second}) == 2
    assert first.fingerprint != second.fingerprint
    assert typed(one) != typed(other)
    assert typed(one) == typed(one)
    assert first == Experiment(name="x", optimizer_args={"warm": one})


def test_a_copy_has_a_fingerprint_of_its_own() -> None:
    experiment = Experiment(name="x")
    known = experiment.fingerprint, experiment.prefix_key
    changed = experiment.model_copy(update={"seed": 1})
    assert changed == Experiment(name="x", seed=1) != experiment
    assert changed.prefix_key == Experiment(name="y", seed=1).prefix_key
    assert (experiment.fingerprint, experiment.prefix_key) == known
