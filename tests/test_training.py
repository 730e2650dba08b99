"""What a user is promised of one training: exact figures, the same bits, failures as values."""

import math
import subprocess
import sys
import textwrap
from itertools import islice
from pathlib import Path
from typing import Any

import mltrainer
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mltrainer.metrics import Accuracy
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR

from command import figures
from fmgrid.components.mlp import MLP
from fmgrid.data.batches import Images, load_images, shuffled_batches
from fmgrid.data.cache import Prepared, prepare
from fmgrid.errors import DataError
from fmgrid.experiment import EpochRecord, Experiment, Run
from fmgrid.training import loop as training
from fmgrid.training.loop import score, train
from fmgrid.training.worker import train_one

ADAM = {"weight_decay": 1e-5}
pytestmark = pytest.mark.usefixtures("one_thread")


class Foreign(MLP):
    """An MLP that fmgrid does not know."""


def tiny(**settings: object) -> Experiment:
    defaults = {
        "name": "tiny",
        "dataset": "fashion-mnist-sample",
        "epochs": 2,
        "train_steps": 7,
        "batch_size": 30,
        "hidden_units": [16, 8],
        "optimizer_args": ADAM,
    }
    return Experiment(**{**defaults, **settings})


def in_images(train_images: int, **settings: object) -> Experiment:
    """Return a tiny experiment whose epochs have so many images."""
    return tiny(train_steps=None, train_images=train_images, **settings)


def test_a_run_is_what_a_plain_pytorch_loop_computes(folder: Path) -> None:
    experiment = tiny()
    parts = load_images(folder, "test")
    network = MLP(experiment.hidden_units, experiment.seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True, **ADAM)
    batches = shuffled_batches(parts.train, 30, experiment.seed)
    expected = []
    for epoch in (1, 2):
        losses = []
        for _ in range(7):
            pixels, labels = next(batches)
            loss = torch.nn.functional.cross_entropy(network(pixels), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        with torch.no_grad():
            logits = network(parts.valid.inputs).double()
        right = (logits.argmax(dim=1) == parts.valid.labels).double().mean().item()
        valid = torch.nn.functional.cross_entropy(logits, parts.valid.labels).item()
        expected.append((epoch, sum(losses) / 7, valid, right, 7 * 30 * epoch))

    run = train(experiment, folder)

    assert run.status == "complete"
    found = [(r.epoch, r.train_loss, r.valid_loss, r.accuracy, r.images_seen) for r in run.history]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours[:2] == theirs[:2], "the training itself is the same to the bit"
        assert ours[2] == pytest.approx(theirs[2], rel=1e-6)
        assert ours[3:] == theirs[3:]


def test_mltrainers_own_loop_gives_the_same_figures_where_its_means_are_exact(
    folder: Path, tmp_path: Path
) -> None:
    experiment = tiny()
    parts = load_images(folder, "test")
    reported = []

    class Reporter(mltrainer.trainer.Reporter):
        def report(self, _epoch, train_loss, test_loss, metric_dict):  # type: ignore[no-untyped-def]
            reported.append((train_loss, test_loss, metric_dict["Accuracy"]))

    trainer = mltrainer.Trainer(
        model=MLP(experiment.hidden_units, experiment.seed),
        settings=mltrainer.TrainerSettings(
            epochs=2,
            metrics=[Accuracy()],
            logdir=tmp_path,
            train_steps=7,
            valid_steps=2,
            reporttypes=[],
            optimizer_kwargs={"lr": 1e-3, "fused": True, **ADAM},
            scheduler_kwargs=None,
            earlystop_kwargs=None,
        ),
        loss_fn=torch.nn.CrossEntropyLoss(),
        optimizer=torch.optim.Adam,
        traindataloader=shuffled_batches(parts.train, 30, experiment.seed),
        validdataloader=[  # two batches of one size, the only case in which their mean is exact
            (parts.valid.inputs[:250], parts.valid.labels[:250]),
            (parts.valid.inputs[250:], parts.valid.labels[250:]),
        ],
        scheduler=None,
    )
    trainer.reporters.append(Reporter())
    trainer.loop()

    run = train(experiment, folder)

    ours = [(record.train_loss, record.valid_loss, record.accuracy) for record in run.history]
    np.testing.assert_allclose(np.array(ours, float), np.array(reported, float), rtol=1e-6)


@pytest.mark.parametrize("count", [1, 999, 1000, 1001, 1700], ids="{} images".format)
def test_every_image_counts_once_whatever_is_left_for_the_last_batch(count: int) -> None:
    generator = torch.Generator().manual_seed(count)
    images = Images(
        torch.rand(count, 784, generator=generator),
        torch.randint(10, (count,), generator=generator),
    )
    network = MLP([8], seed=0)
    with torch.no_grad():
        logits = network(images.inputs).double()
    one_by_one = [
        -torch.log_softmax(row, dim=0)[label].item()
        for row, label in zip(logits, images.labels, strict=True)
    ]

    loss, accuracy = score(network, images)

    assert loss == pytest.approx(math.fsum(one_by_one) / count, rel=1e-6)
    assert accuracy == (logits.argmax(dim=1) == images.labels).sum().item() / count


def test_the_same_experiment_gives_the_same_bits_whatever_was_trained_before(
    folder: Path,
) -> None:
    first = train(tiny(), folder)
    train(tiny(seed=5, hidden_units=[64], optimizer="RMSprop"), folder)
    torch.manual_seed(99)
    np.random.default_rng(99).random()

    assert figures(train(tiny(), folder)) == figures(first)


def test_another_process_gives_the_same_bits(folder: Path) -> None:
    here = train(tiny(), folder)
    code = """
        import sys
        from pathlib import Path
        from fmgrid.experiment import Experiment
        from fmgrid.training.loop import train
        experiment = Experiment.model_validate_json(sys.argv[1])
        print(train(experiment, Path(sys.argv[2])).model_dump_json())
    """
    command = [sys.executable, "-c", textwrap.dedent(code), tiny().model_dump_json(), str(folder)]
    there = subprocess.run(command, capture_output=True, text=True, check=True)

    assert figures(Run.model_validate_json(there.stdout)) == figures(here)


def test_another_seed_gives_other_weights_and_another_order(folder: Path) -> None:
    assert figures(train(tiny(seed=1), folder)) != figures(train(tiny(), folder))


def test_networks_of_one_seed_start_equal_in_every_layer_whose_shape_they_share() -> None:
    shallow, deep = MLP([32, 16], seed=3), MLP([32, 16, 16], seed=3)
    for layer in (0, 2):
        assert torch.equal(shallow.layers[layer].weight, deep.layers[layer].weight)
    assert torch.equal(shallow.layers[-1].weight, deep.layers[-1].weight)
    assert not torch.equal(shallow.layers[0].weight, MLP([32, 16], seed=4).layers[0].weight)


def test_initial_weights_have_torchs_own_distribution() -> None:
    ours = MLP([256], seed=0).layers[0].weight
    theirs = torch.nn.Linear(784, 256).weight
    bound = 1 / math.sqrt(784)
    assert ours.abs().max().item() <= bound
    assert ours.std().item() == pytest.approx(theirs.std().item(), rel=0.01)


def test_a_longer_training_begins_as_the_shorter_one(folder: Path) -> None:
    short, long = train(tiny(epochs=2), folder), train(tiny(epochs=4), folder)
    assert figures(long)[:2] == figures(short)
    assert long.answers(short.experiment)
    shared = long.shared_with(short.experiment)
    assert figures(shared) == figures(short)
    assert (shared.weights, shared.test_loss) == (short.weights, short.test_loss)


def test_a_full_epoch_is_one_pass_over_the_training_images(folder: Path) -> None:
    run = train(tiny(train_steps="full", batch_size=64, validation=300), folder)
    assert [record.images_seen for record in run.history] == [1700, 3400]


@given(batch_size=st.integers(1, 40), epochs=st.integers(1, 3), images=st.integers(40, 130))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_batch_size_sees_the_images_that_an_epoch_is_given(
    batch_size: int, epochs: int, images: int, folder: Path
) -> None:
    run = train(in_images(images, batch_size=batch_size, epochs=epochs), folder)
    assert [record.images_seen for record in run.history] == [
        images * epoch for epoch in range(1, epochs + 1)
    ]


def test_images_in_whole_batches_are_the_same_training_as_so_many_steps(
    folder: Path,
) -> None:
    seven_steps = train(tiny(train_steps=7, batch_size=30), folder)
    same_images = train(in_images(7 * 30, batch_size=30), folder)
    assert figures(same_images) == figures(seven_steps)


def test_all_training_images_are_the_same_training_as_a_full_pass(folder: Path) -> None:
    full = train(tiny(train_steps="full", batch_size=64, validation=300), folder)
    counted = train(in_images(1700, batch_size=64, validation=300), folder)
    assert figures(counted) == figures(full)


def test_more_images_than_there_are_go_on_in_the_next_pass(folder: Path) -> None:
    run = train(in_images(2500, batch_size=300), folder)
    assert [record.images_seen for record in run.history] == [2500, 5000]


def test_a_short_batch_counts_as_much_as_the_others_in_the_train_loss(
    folder: Path,
) -> None:
    experiment = in_images(70, batch_size=30, epochs=1)
    parts = load_images(folder, "test")
    network = MLP(experiment.hidden_units, experiment.seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True, **ADAM)
    order = next(shuffled_batches(parts.train, 70, experiment.seed))[1]
    batches = shuffled_batches(parts.train, 30, experiment.seed, portion=70)
    losses, seen = [], []
    for pixels, labels in islice(batches, 3):
        loss = torch.nn.functional.cross_entropy(network(pixels), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        seen.append(labels)

    run = train(experiment, folder)

    assert [len(labels) for labels in seen] == [30, 30, 10]
    assert torch.equal(torch.cat(seen), order)
    assert run.history[0].train_loss == sum(losses) / 3


def test_a_longer_training_in_images_begins_as_the_shorter_one(folder: Path) -> None:
    short, long = (train(in_images(1001, batch_size=64, epochs=n), folder) for n in (1, 3))
    assert figures(long)[:1] == figures(short)
    assert long.answers(short.experiment)
    assert figures(long.shared_with(short.experiment)) == figures(short)


def test_held_out_images_leave_the_test_images_to_be_scored_once_at_the_end(
    folder: Path,
) -> None:
    on_test, held_out = train(tiny(), folder), train(tiny(validation=300), folder)
    assert on_test.test_accuracy is None
    assert on_test.test_loss is None
    assert held_out.test_accuracy is not None
    assert held_out.test_loss is not None
    assert 0 < held_out.test_accuracy < 1
    assert held_out.final is not None
    assert held_out.test_loss != held_out.final.valid_loss


def test_the_figures_say_what_was_trained_with_what(folder: Path) -> None:
    run = train(tiny(), folder, {"git": "abc"})
    assert run.weights == 784 * 16 + 16 + 16 * 8 + 8 + 8 * 10 + 10
    assert run.software["git"] == "abc"
    assert run.software["threads"] == 1
    assert run.software["torch"] == torch.__version__
    assert {"fmgrid", "python", "mltrainer", "cpu", "platform"} <= run.software.keys()


def test_a_loss_that_is_no_number_ends_the_run_with_the_step(folder: Path) -> None:
    run = train(tiny(optimizer="SGD", learning_rate=1e30, optimizer_args={}), folder)
    assert run.status == "failed"
    assert run.failure is not None
    assert run.failure.message.startswith("NonFiniteLossError: the training loss is ")
    assert run.failure.message.endswith(" of 14")
    assert run.history == ()


def test_epochs_before_a_failure_are_kept(folder: Path) -> None:
    run = train(tiny(optimizer=f"{__name__}:Breaks", optimizer_args={}), folder)
    assert run.status == "failed"
    assert [record.epoch for record in run.history] == [1]
    assert run.failure is not None
    assert run.failure.message == "RuntimeError: broke at step 8"
    assert "in step" in run.failure.traceback


def test_an_optimizer_of_another_package_trains(folder: Path) -> None:
    run = train(tiny(optimizer="lion_pytorch:Lion", optimizer_args={"weight_decay": 0.0}), folder)
    assert run.status == "complete"
    assert run.history[1].train_loss < run.history[0].train_loss


@pytest.mark.parametrize(
    "name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam", "Adafactor", "Rprop", "ASGD"]
)
def test_torchs_optimizers_train(name: str, folder: Path) -> None:
    run = train(tiny(optimizer=name, optimizer_args={}), folder)
    assert run.status == "complete", run.failure
    assert run.final is not None
    assert math.isfinite(run.final.valid_loss)


def test_what_the_user_says_of_fused_stands(folder: Path) -> None:
    default = train(tiny(epochs=1), folder)
    fused = train(tiny(epochs=1, optimizer_args=ADAM | {"fused": True}), folder)
    assert figures(fused) == figures(default)
    plain = train(tiny(epochs=1, optimizer_args=ADAM | {"foreach": True}), folder)
    assert plain.status == "complete"


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ((StepLR, {"step_size": 1, "gamma": 0.5}), [0.1, 0.05, 0.025]),
        ((ReduceLROnPlateau, {"factor": 0.5, "patience": 0, "threshold": 0.9}), [0.1, 0.1, 0.05]),
    ],
)
@pytest.mark.parametrize("network", [MLP, Foreign], ids=["steps by hand", "steps by autograd"])
def test_a_schedule_is_stepped_after_every_epoch_and_reported_with_the_rate_of_its_steps(
    schedule: tuple[Any, dict[str, Any]],
    rates: list[float],
    network: type[MLP],
    folder: Path,
    tmp_path: Path,
) -> None:
    parts = load_images(folder, "test")
    records: list[EpochRecord] = []
    training._Trainer(
        records.append,
        clock=0.0,
        model=network([8], seed=0),
        settings=mltrainer.TrainerSettings(
            epochs=3,
            metrics=[],
            logdir=tmp_path,
            train_steps=7,
            valid_steps=1,
            reporttypes=[],
            optimizer_kwargs={"lr": 0.1, "fused": True},
            scheduler_kwargs=schedule[1],
            earlystop_kwargs=None,
        ),
        loss_fn=torch.nn.CrossEntropyLoss(),
        optimizer=torch.optim.SGD,
        traindataloader=shuffled_batches(parts.train, 30, seed=0),
        validdataloader=[parts.valid],
        scheduler=schedule[0],
    ).loop()

    assert [record.learning_rate for record in records] == pytest.approx(rates)


def test_mlflow_waits_until_somebody_uses_it() -> None:
    code = """
        import sys
        import fmgrid.training.loop
        assert "mlflow" not in sys.modules
        import mltrainer
        assert callable(mltrainer.trainer.mlflow.log_metric)
        import mlflow
        assert mlflow.log_metric is mltrainer.trainer.mlflow.log_metric
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_training_leaves_no_files_behind(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    train(tiny(), folder)
    assert list(tmp_path.iterdir()) == []


class Breaks(torch.optim.SGD):
    """An optimizer that works for seven steps."""

    steps = 0

    def step(self, _closure: object = None) -> None:
        self.steps += 1
        if self.steps > 7:
            message = f"broke at step {self.steps}"
            raise RuntimeError(message)
        super().step()


def test_no_optimizer_of_torch_imports_its_compiler_and_its_second_of_start(
    sample_data: Prepared,
) -> None:
    code = (
        "import sys, torch; from pathlib import Path\n"
        "from fmgrid.components import check_component\n"
        "from fmgrid.training import loop as training\n"
        "from fmgrid.experiment import Experiment\n"
        "for name in ('Adam', 'SGD', 'RMSprop', 'NAdam'):\n"
        "    experiment = Experiment(name='x', dataset='fashion-mnist-sample', epochs=1,\n"
        "        train_steps=2, optimizer=name)\n"
        "    assert check_component('optimizer', experiment, Path()) is None\n"
        "    run = training.train(experiment, Path(sys.argv[1]))\n"
        "    assert run.status == 'complete', run.failure\n"
        "print('torch._dynamo' in sys.modules)\n"
    )
    command = [sys.executable, "-c", code, str(sample_data.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "False\n", done.stderr


# Data that change while a grid runs


@pytest.fixture
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepared:
    """The sample, in a cache that a test may spoil."""
    monkeypatch.setenv("FMGRID_CACHE", str(tmp_path))
    return prepare("fashion-mnist-sample")


def spoil(prepared: Prepared) -> None:
    """Give all images the same label, in the file that is mapped."""
    with (prepared.folder / "train_labels.npy").open("r+b") as stream:
        stream.seek(128)
        stream.write(bytes(8 * 2000))


def train_in_worker(prepared: Prepared) -> Run:
    return train_one({prepared.dataset: prepared}, {}, tiny(), 2**40, lambda _: True)


def test_a_run_is_not_trained_on_data_that_have_changed(own_data: Prepared) -> None:
    before = train_in_worker(own_data)
    spoil(own_data)
    with pytest.raises(DataError, match=r"train_labels\.npy: damaged"):
        train_in_worker(own_data)
    again = prepare("fashion-mnist-sample")
    assert figures(train_in_worker(again)) == figures(before)


@pytest.mark.parametrize("does_fail", [False, True])
def test_a_run_during_which_the_data_changed_is_neither_complete_nor_failed(
    does_fail: bool, own_data: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoiled(*args: Any) -> float:
        spoil(own_data)
        if does_fail:
            raise ArithmeticError
        return trainbatches(*args)

    trainbatches = training._Trainer.trainbatches
    monkeypatch.setattr(training._Trainer, "trainbatches", spoiled)
    with pytest.raises(DataError, match="changed while a run was trained on it"):
        train_in_worker(own_data)
