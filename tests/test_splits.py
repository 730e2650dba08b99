"""Which images are trained on and scored, and how they are standardized."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from command import Call, bits, fmgrid, write
from fmgrid.components.datasets import objection_to_workload, workload_of
from fmgrid.data import cache as data
from fmgrid.data.batches import Images, draw_rows, load_images, load_split, shuffled_batches
from fmgrid.data.catalogue import DATASETS
from fmgrid.experiment import Experiment
from fmgrid.training.loop import train

SHARES = st.floats(0.01, 0.99)
LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=200)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> data.Prepared:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FMGRID_CACHE", str(tmp_path_factory.mktemp("cache")))
        return data.prepare("digits")


def made_folder(folder: Path, *shape: int, **numbers: float) -> Path:
    """A prepared folder with three parts of random inputs; *numbers* are their means."""
    random = np.random.default_rng(0)
    for split, count in (("train", 60), ("valid", 20), ("test", 30)):
        inputs = random.normal(numbers.get(split, 0), 3, (count, *shape)).astype(np.float32)
        np.save(folder / f"{split}_inputs.npy", inputs)
        np.save(folder / f"{split}_labels.npy", np.arange(count) % 2)
    return folder


def made_images(labels: list[int]) -> Images:
    return Images(torch.arange(len(labels)).float()[:, None], torch.tensor(labels))


# Which images


@given(LABELS, SHARES)
def test_a_share_holds_out_that_much_of_every_class(labels: list[int], share: float) -> None:
    kept, held_out = (rows.tolist() for rows in draw_rows(made_images(labels), share))
    assert sorted(kept + held_out) == list(range(len(labels)))
    assert (kept, held_out) == (sorted(kept), sorted(held_out))
    assert len(held_out) == round(share * len(labels))
    for label in set(labels):
        count = sum(labels[row] == label for row in held_out)
        assert abs(count - share * labels.count(label)) <= 1


@given(LABELS, SHARES, SHARES)
def test_a_smaller_share_is_a_part_of_a_larger_one(
    labels: list[int], first: float, second: float
) -> None:
    images = made_images(labels)
    smaller, larger = (
        set(draw_rows(images, share)[1].tolist()) for share in sorted([first, second])
    )
    assert smaller <= larger


def test_a_share_of_the_digits_is_counted_before_the_images_are_read(
    digits: data.Prepared,
) -> None:
    for share in (0.1, 0.333, 0.5):
        parts = load_images(digits.folder, share)
        workload = workload_of(Experiment(name="mlp", dataset="digits", validation=share))
        assert (len(parts.train), len(parts.valid)) == workload[:2]
        assert parts.test is load_split(digits.folder, "test")


def test_a_share_needs_no_copy_of_the_images(digits: data.Prepared) -> None:
    whole = load_split(digits.folder, "train").inputs
    parts = load_images(digits.folder, 0.2, standardize=True)
    assert {part.inputs.data_ptr() for part in parts[:2]} == {whole.data_ptr()}


@pytest.mark.parametrize("standardize", [False, True])
def test_the_order_of_images_is_that_of_any_batch_size_where_a_share_is_held_out(
    digits: data.Prepared, *, standardize: bool
) -> None:
    parts = load_images(digits.folder, 0.2, standardize=standardize)
    orders = []
    for size in (7, 100):
        batches = [*shuffled_batches_of(parts.train, size, 1200)]
        orders.append(torch.cat([inputs for inputs, _ in batches]))
    assert torch.equal(*orders)
    seen = {image.numpy().tobytes() for image in orders[0]}
    valid = {image.numpy().tobytes() for images, _ in parts.valid.in_order(50) for image in images}
    assert not seen & valid
    assert len(seen) + len(valid) == 1500


def shuffled_batches_of(
    images: Images, size: int, count: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    return islice(shuffled_batches(images, size, seed=3), -(-count // size))


def test_a_third_set_scores_the_epochs_and_nothing_is_held_out(tmp_path: Path) -> None:
    folder = made_folder(tmp_path, 4, valid=100)
    parts = load_images(folder, "valid")
    assert [len(part) for part in parts if part] == [60, 20, 30]
    assert parts.valid.inputs.mean() > 50


def test_a_third_set_is_in_the_plan_of_those_who_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = replace(DATASETS["digits"], valid_images=123)
    monkeypatch.setitem(DATASETS, "digits", entry)  # type: ignore[arg-type]
    experiment = Experiment(name="mlp", dataset="digits", validation="valid")
    assert objection_to_workload(experiment) is None
    assert workload_of(experiment)[:2] == (1500, 123)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            '"valid"',
            "needs a third set, which digits lacks; write a share of the training images",
        ),
        ("0.0001", "holds out none of the 1500 images; write a larger share"),
        ("0.9999", "leaves none of the 1500 images"),
        ("1500", "leaves none of the 1500 images"),
        ("0.99", "batch_size = 64 exceeds the 15 training images"),
        ("1.0", "1.0 is not a number or share of held-out images"),
        ("true", "true is not a number or share of held-out images"),
        ("nan", "nan is not a number or share of held-out images"),
    ],
)
@pytest.mark.usefixtures("elsewhere")
def test_images_that_a_data_set_lacks_are_refused_with_the_line(
    value: str, message: str, call: Call
) -> None:
    grid = write(f'[base]\ndataset = "digits"\nvalidation = {value}\n')
    code, out, told = call("plan", grid)
    assert (code, out) == (2, "")
    line = 1 if message.startswith("batch_size") else 3
    setting = "base.validation: " if line == 3 else ""
    assert told.startswith(f"grid.toml:{line}: {setting}")
    assert message in told
    assert told.endswith("\n1 mistake; nothing was done\n")


# How they are scaled


@pytest.mark.parametrize("validation", ["test", "valid", 10, 0.25])
@pytest.mark.parametrize(
    ("shape", "others"),
    [((3, 5, 4), (0, 2, 3)), ((6,), (0,)), ((7, 6), (0, 1))],
    ids=["images by channel", "tables by feature", "sequences by feature"],
)
def test_training_inputs_have_a_mean_of_0_and_a_deviation_of_1(
    shape: tuple[int, ...], others: tuple[int, ...], validation: int | str, tmp_path: Path
) -> None:
    folder = made_folder(tmp_path, *shape, train=1e4)
    parts = load_images(folder, validation, standardize=True)  # type: ignore[arg-type]
    inputs = torch.cat([inputs for inputs, _ in parts.train.in_order(7)]).double()
    assert torch.allclose(inputs.mean(others), torch.zeros((), dtype=torch.float64), atol=1e-3)
    assert torch.allclose(
        inputs.std(others, correction=0), torch.ones((), dtype=torch.float64), atol=1e-3
    )
    shuffled = torch.cat(
        [inputs for inputs, _ in shuffled_batches_of(parts.train, 9, len(parts.train))]
    )
    assert torch.equal(shuffled.flatten(1).sort(0).values, inputs.float().flatten(1).sort(0).values)


def test_images_that_are_not_trained_on_do_not_count(tmp_path: Path) -> None:
    folders = []
    for name, mean in (("one", 0.0), ("other", 1e6)):
        (tmp_path / name).mkdir()
        folder = made_folder(tmp_path / name, 2, valid=mean, test=mean)
        inputs = np.load(folder / "train_inputs.npy")
        inputs[50:] += mean  # held out by a number
        np.save(folder / "train_inputs.npy", inputs)
        folders.append(folder)
    one, other = (load_images(folder, 10, standardize=True).train.scale for folder in folders)
    assert one is not None
    assert other is not None
    assert torch.equal(one.mean, other.mean)
    assert torch.equal(one.deviation, other.deviation)


def test_all_parts_are_scaled_alike_and_a_constant_stays_finite(tmp_path: Path) -> None:
    folder = made_folder(tmp_path, 3)
    for split in ("train", "valid", "test"):
        inputs = np.load(folder / f"{split}_inputs.npy")
        inputs[:, 1] = 0.1  # no binary number is a tenth
        np.save(folder / f"{split}_inputs.npy", inputs)
    plain = load_images(folder, 0.5)
    scaled = load_images(folder, 0.5, standardize=True)
    assert scaled.train.scale is not None
    for before, after in zip(plain, scaled, strict=True):
        assert before is not None
        assert after is not None
        for (inputs, labels), (others, same) in zip(
            before.in_order(8), after.in_order(8), strict=True
        ):
            expected = (inputs - scaled.train.scale.mean) / scaled.train.scale.deviation
            assert torch.equal(others, expected)
            assert torch.equal(labels, same)
            assert others[:, 1].abs().max() < 1e-6


def test_inputs_on_the_disk_and_in_memory_stay_as_they_are(digits: data.Prepared) -> None:
    before = load_split(digits.folder, "train").inputs.clone()
    parts = load_images(digits.folder, 0.1, standardize=True)
    for images in (parts.train, parts.valid):
        for inputs, _ in images.in_order(100):
            inputs.zero_()
    assert torch.equal(load_split(digits.folder, "train").inputs, before)


def test_tokens_are_not_standardized(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = replace(DATASETS["digits"], are_tokens=True)
    monkeypatch.setitem(DATASETS, "digits", entry)  # type: ignore[arg-type]
    experiment = Experiment(name="mlp", dataset="digits", standardize=True)
    assert objection_to_workload(experiment) == (
        "standardize = true needs numbers, and digits holds tokens; write standardize = false"
    )


# In a training


def test_digits_are_learned_with_a_share_held_out_and_standardized(digits: data.Prepared) -> None:
    settings = {"dataset": "digits", "validation": 0.2, "train_steps": "full", "epochs": 5}
    plain, scaled, again = (
        train(Experiment(name="mlp", standardize=standardize, **settings), digits.folder)  # type: ignore[arg-type]
        for standardize in (False, True, True)
    )
    assert plain.status == scaled.status == "complete"
    assert scaled.history[-1].images_seen == 5 * 1200
    assert scaled.history[0].accuracy > plain.history[0].accuracy
    assert scaled.test_accuracy is not None
    assert scaled.test_accuracy > 0.9
    assert [record.valid_loss for record in scaled.history] == [
        record.valid_loss for record in again.history
    ]


STANDARDIZED = """
name = "{validation}_{epochs}"
[base]
dataset = "digits"
standardize = true
train_steps = 10
hidden_units = [8]
[grid]
validation = ["test", 0.2, 300]
epochs = [1, 2]
"""


@pytest.mark.usefixtures("elsewhere")
def test_workers_and_a_process_that_goes_on_with_their_work_give_the_same_bits(
    call: Call, tmp_path: Path
) -> None:
    grid, logdir = write(STANDARDIZED), tmp_path / "workers"
    assert fmgrid("run", grid, "-j", "2", "--logdir", logdir).returncode == 0
    expected = bits(logdir)
    assert len(expected) == 6
    for name in ("test_2", "0.2_1", "300_2"):
        shutil.rmtree(logdir / name)
    assert call("run", grid, "-j", "0", "--logdir", logdir)[0] == 0
    assert bits(logdir) == expected
