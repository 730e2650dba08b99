"""Data of the user's own: what is read, what is refused, and when it is the same data."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from torchvision import transforms

from command import Call, fmgrid, start, write
from fmgrid.components.datasets import info_of, workload_of
from fmgrid.components.own_data import Contents, read
from fmgrid.data.image_folders import find_images, read_images, read_options
from fmgrid.data.manifests import read_manifest, write_arrays
from fmgrid.data.own_arrays import OwnDataError, convert, read_npz, to_mapping
from fmgrid.errors import DataError
from fmgrid.experiment import Experiment
from fmgrid.results.results_file import read_results
from fmgrid.settings import changed_settings, describe_change, show
from loading import load_grids

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "data.md").read_text()
QUICK = "epochs = 1\ntrain_steps = 3\nbatch_size = 4\nhidden_units = [8]\n"
FOUR = ("x_train", "y_train", "x_test", "y_test")


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, beside the folder in which the test works."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("FMGRID_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def made_up(**other: Any) -> dict[str, Any]:
    """Small data that nothing is wrong with, but for what is said."""
    random = np.random.default_rng(0)
    given = {
        "x_train": random.normal(size=(12, 3)).astype(np.float32),
        "y_train": np.arange(12) % 3,
        "x_test": random.normal(size=(6, 3)).astype(np.float32),
        "y_test": np.arange(6) % 3,
    }
    return {key: value for key, value in {**given, **other}.items() if value is not None}


def save(path: str = "data.npz", **other: Any) -> Path:
    np.savez(path, **made_up(**other))
    return Path(path)


def content_of(given: Mapping[str, Any], folder: Path) -> str:
    folder.mkdir()
    own = convert(given)
    return write_arrays(own.arrays.items(), own.classes, folder)


def draw(path: Path, number: int, mode: str = "RGB", size: tuple[int, int] = (6, 5)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (*size[::-1], 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


def draw_folder(folder: Path, per_class: int = 10, **how: Any) -> Path:
    for label, name in enumerate(("cats", "dogs")):
        for number in range(per_class):
            draw(folder / name / f"{number:02}.png", 100 * label + number, **how)
    return folder


def read_folder(folder: Path, **args: Any) -> dict[str, Any]:
    options = read_options(args)
    return read_images(folder, find_images(folder, options), options)


# Arrays


def test_bytes_are_scaled_floats_are_shortened_and_whole_numbers_stay() -> None:
    for values, dtype, expected in (
        (np.array([[0, 51, 255]], np.uint8), torch.float32, [[0.0, 0.2, 1.0]]),
        (np.array([[0.1, -3, 1e30]]), torch.float32, [[0.1, -3, 1e30]]),
        (np.array([[True, False, True]]), torch.float32, [[1.0, 0.0, 1.0]]),
        (np.array([[7, -1, 2**40]], np.int64), torch.int64, [[7, -1, 2**40]]),
        (np.array([[7, 1, 3]], np.int16), torch.int64, [[7, 1, 3]]),
        (torch.tensor([[7.0, 1, 3]], requires_grad=True), torch.float32, [[7.0, 1, 3]]),
        ([[0.5, 1, 3]], torch.float32, [[0.5, 1, 3]]),
    ):
        two = {"x_train": [*values, *values], "y_train": [0, 1]}
        if not isinstance(values, list):
            two["x_train"] = (
                torch.cat([values, values]) if torch.is_tensor(values) else np.repeat(values, 2, 0)
            )
        own = convert({**two, "x_test": two["x_train"], "y_test": [1.0, 0.0]})
        inputs = torch.from_numpy(own.arrays["train_inputs.npy"])
        assert inputs.dtype == dtype
        assert torch.equal(inputs[:1], torch.tensor(expected, dtype=dtype))
        assert own.arrays["test_labels.npy"].tolist() == [1, 0]
        assert own.classes == ("0", "1")


def test_bytes_become_what_torchvision_makes_of_them() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    own = convert(made_up(x_train=np.repeat(pixels, 12, 0), x_test=np.repeat(pixels, 6, 0)))
    expected = transforms.ToTensor()(pixels[0, 0])
    assert torch.equal(torch.from_numpy(own.arrays["train_inputs.npy"][0]), expected)


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        ({"x_train": None}, "has no x_train"),
        ({"x_train": None, "X_train": [[1.0]]}, "has no x_train; rename X_train"),
        ({"x_valid": np.zeros((2, 3), np.float32)}, "has no y_valid"),
        ({"x_val": [[1.0]]}, 'has "x_val"; did you mean x_valid?'),
        ({"notes": [1]}, 'has "notes"; and may have classes, x_test'),
        ({"x_train": np.zeros(12)}, "x_train has the shape [12]; write [n, features], or images"),
        ({"x_train": np.zeros((0, 3))}, "x_train is empty: its shape is [0, 3]"),
        ({"x_train": np.zeros((11, 3), "f4")}, "x_train has 11 rows, and y_train has 12"),
        (
            {"x_test": np.zeros((6, 4), "f4")},
            "a row of x_train has the shape [3], and one of x_test [4]",
        ),
        ({"x_test": np.zeros((6, 3), np.int64)}, "x_train holds float32, and x_test holds int64"),
        ({"x_test": np.zeros((6, 3), np.uint8)}, "x_train holds float32, and x_test holds uint8"),
        ({"x_train": [["a"] * 3] * 12}, "x_train holds <U1; write numbers"),
        (
            {"x_train": [[None] * 3] * 12},
            "x_train holds Python's objects; write an array of numbers",
        ),
        ({"x_train": [[1.0], [1.0, 2.0]]}, "x_train is no array (ValueError: "),
        (
            {"x_train": np.full((12, 3), 1e300)},
            "x_train holds 36 of nan or inf, the first in row 0",
        ),
        (
            {"x_train": np.full((12, 3), 2**63, np.uint64)},
            "x_train holds numbers that are too large",
        ),
        (
            {"y_train": np.arange(12) % 3 + 0.5},
            "y_train holds 0.5 in row 0; labels are whole numbers",
        ),
        (
            {"y_train": np.arange(12.0) * np.nan},
            "y_train holds nan in row 0; labels are whole numbers",
        ),
        ({"y_train": np.arange(12) % 3 - 1}, "y_train holds -1 in row 0; labels are whole numbers"),
        (
            {"y_train": np.arange(12) % 3 + 1},
            "y_train has no label 0, and 1 is one; number the classes",
        ),
        ({"y_train": np.arange(12) % 3 * 2}, "y_train has no label 1, and 2 is one"),
        (
            {"y_train": np.eye(12)},
            "y_train has the shape [12, 12], and labels are whole numbers [n]; of",
        ),
        (
            {"y_train": ["cat"] * 12},
            "y_train holds text, and labels are whole numbers from 0; write",
        ),
        (
            {"x_train": np.ma.masked_greater(np.ones((12, 3)), 0)},
            "x_train has masked numbers; replace them",
        ),
        (
            {"y_train": np.arange(100_001), "x_train": np.zeros((100_001, 3), np.float32)},
            "y_train has 100,001 classes; at most 100,000 can be told apart",
        ),
        (
            {"classes": [*map(str, range(100_001))]},
            "classes has 100,001 classes; at most 100,000",
        ),
        ({"y_train": np.zeros(12)}, "y_test holds the label 2, which y_train lacks"),
        ({"y_train": [0] * 12, "y_test": [0] * 6}, "y_train has one label only"),
        ({"classes": ["a", "b"]}, "y_train holds the label 2, and classes has 2 names"),
        ({"classes": ["a", "b", "a"]}, 'classes holds "a"; write a different name'),
        ({"classes": ["a", "b", "c\n"]}, 'classes holds "c\\u000a"; write a different name'),
        ({"classes": [1, 2, 3]}, 'classes is no list of names; write ["cat", "dog"]'),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_to_write(
    other: dict[str, Any], problem: str
) -> None:
    with pytest.raises(OwnDataError) as caught:
        convert(made_up(**other))
    assert problem in str(caught.value)


def test_the_most_classes_with_the_longest_names_can_be_read_again(tmp_path: Path) -> None:
    names = [f"{number:06}" + "\U0001f600" * 94 for number in range(100_000)]
    content = content_of(made_up(classes=names), tmp_path / "arrays")
    assert read_manifest(tmp_path / "arrays", content).classes == tuple(names)


def test_all_mistakes_in_arrays_are_told_at_once() -> None:
    with pytest.raises(OwnDataError) as caught:
        convert(made_up(x_train=np.zeros(3), y_test=["a"] * 6, classes=["x"], z=1))
    assert len(caught.value.args) == 4


images = arrays.arrays(
    st.sampled_from([np.uint8, np.float32, np.float64, np.int64]),
    st.tuples(st.just(4), st.integers(1, 3), st.integers(1, 3)),
    elements={"allow_nan": False, "allow_infinity": False, "min_value": 0, "max_value": 200},
)


@settings(max_examples=20)  # each writes seven folders to the disk
@given(images, st.integers(0, 3), st.integers(0, 10**9))
def test_the_content_is_that_of_the_numbers_and_changes_with_any_of_them(
    tmp_path_factory: pytest.TempPathFactory, values: Any, row: int, place: int
) -> None:
    folder = tmp_path_factory.mktemp("contents")
    labels = np.array([0, 1, 0, 1])
    given = {"x_train": values, "y_train": labels, "x_test": values, "y_test": labels}
    content = content_of(given, folder / "first")
    tensors = {key: torch.from_numpy(value.copy()) for key, value in given.items()}
    assert content_of(tensors, folder / "as tensors") == content
    assert content_of({**given, "classes": ["0", "1"]}, folder / "with the names") == content
    assert content_of({**given, "classes": ["a", "b"]}, folder / "other names") != content
    changed = values.copy()
    changed.reshape(4, -1)[row, place % changed[0].size] += 1
    assert content_of({**given, "x_test": changed}, folder / "a number") != content
    labels = np.array([0, 1, 1, 1])
    assert content_of({**given, "y_test": labels}, folder / "a label") != content
    flat = {key: values.reshape(4, -1, 1) for key in ("x_train", "x_test")}
    if flat["x_train"].shape != values.shape:
        assert content_of({**given, **flat}, folder / "a shape") != content


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is no .npz file"),
        (b"PK\x05\x06 and no more", "is no .npz file"),
        (b"x_train,y_train\n1,2\n", "is no .npz file"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_is_no_archive_of_arrays_is_refused(
    content: bytes | None, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "data.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(OwnDataError, match=problem):
        read_npz(path)


def test_nothing_in_a_file_is_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, x_train=np.array([{"an": "object"}]), y_train=np.array([1]))
    with pytest.raises(OwnDataError, match=r"x_train cannot be read: it holds Python's objects"):
        read_npz(path)


@pytest.mark.parametrize("save_it", [np.savez, np.savez_compressed])
def test_a_file_with_any_byte_changed_is_refused_or_holds_the_same(
    save_it: Callable[..., None], tmp_path: Path
) -> None:
    stream = io.BytesIO()
    save_it(stream, **made_up())
    good = stream.getvalue()
    path = tmp_path / "data.npz"
    for place in range(0, len(good), 7):
        path.write_bytes(good[:place] + bytes([good[place] ^ 255]) + good[place + 1 :])
        try:
            given = read_npz(path)
        except OwnDataError:
            continue
        expected = made_up()
        for key in given.keys() & expected.keys():
            assert np.array_equal(given[key], expected[key])


@pytest.mark.parametrize("returned", [None, 1, (1, 2), "text", np.zeros((3, 2))])
def test_a_function_that_returns_something_else_is_told_what_to_return(returned: Any) -> None:
    with pytest.raises(OwnDataError, match=r"return \(x_train, y_train, x_test, y_test\)"):
        to_mapping(returned)


# Folders of images


@pytest.mark.parametrize("color", ["rgb", "grey"])
@pytest.mark.parametrize("size", [None, [4, 9]])
def test_pixels_are_those_of_torchvisions_image_folder(
    color: str, size: list[int] | None, tmp_path: Path
) -> None:
    for part in ("train", "test"):
        draw_folder(tmp_path / part, 3)
    given = read_folder(tmp_path, color=color, **({"size": size} if size else {}))
    steps = [transforms.Grayscale()] if color == "grey" else []
    steps += [transforms.Resize(size)] if size else []
    dataset = torchvision.datasets.ImageFolder(
        tmp_path / "train", transforms.Compose([*steps, transforms.ToTensor()])
    )
    theirs = sorted((label, pixels.numpy().tobytes()) for pixels, label in dataset)
    own = convert(given)
    ours = zip(own.arrays["train_labels.npy"], own.arrays["train_inputs.npy"], strict=True)
    assert sorted((label, pixels.tobytes()) for label, pixels in ours) == theirs
    assert own.classes == tuple(dataset.classes)


def test_grey_files_have_one_channel_and_colored_ones_three(tmp_path: Path) -> None:
    draw_folder(tmp_path / "grey", mode="L")
    assert read_folder(tmp_path / "grey")["x_train"].shape == (16, 1, 5, 6)
    draw(tmp_path / "grey" / "cats" / "one.png", 1)
    assert read_folder(tmp_path / "grey")["x_train"].shape[1] == 3


def test_a_share_of_each_class_is_the_test_set_and_stays_when_images_are_added(
    tmp_path: Path,
) -> None:
    draw_folder(tmp_path, 20)
    before = {path for path, _ in find_images(tmp_path, read_options({})).files["test"]}
    assert sorted(path.parent.name for path in before) == ["cats"] * 4 + ["dogs"] * 4
    draw(tmp_path / "cats" / "another.png", 7)
    after = {path for path, _ in find_images(tmp_path, read_options({})).files["test"]}
    assert len(before & after) >= 7
    half = find_images(tmp_path, read_options({"test": 0.5})).files
    assert (len(half["train"]), len(half["test"])) == (21, 20)


def test_the_last_images_of_a_folder_are_of_all_classes(tmp_path: Path) -> None:
    labels = read_folder(draw_folder(tmp_path, 40))["y_train"]
    assert 5 < labels[-20:].sum() < 15


def test_folders_of_a_folder_are_its_sets(tmp_path: Path) -> None:
    draw_folder(tmp_path / "train", 4)
    draw_folder(tmp_path / "val", 3)
    assert {key: len(value) for key, value in read_folder(tmp_path).items()} == {
        "classes": 2,
        "x_train": 8,
        "y_train": 8,
        "x_test": 6,
        "y_test": 6,
    }
    draw_folder(tmp_path / "test", 2)
    given = read_folder(tmp_path)
    assert (len(given["x_valid"]), len(given["x_test"])) == (6, 4)


def test_hidden_folders_and_other_files_are_passed_over_and_deeper_images_are_found(
    tmp_path: Path,
) -> None:
    draw_folder(tmp_path)
    draw(tmp_path / ".ipynb_checkpoints" / "a.png", 1)
    draw(tmp_path / "cats" / ".hidden" / "a.png", 1)
    draw(tmp_path / "cats" / "persian" / "a.png", 1)
    (tmp_path / "cats" / "Thumbs.db").write_bytes(b"no image")
    (tmp_path / "README.txt").write_text("cats and dogs")
    given = read_folder(tmp_path)
    assert given["classes"] == ["cats", "dogs"]
    assert len(given["x_train"]) + len(given["x_test"]) == 21


@pytest.mark.parametrize(
    ("make", "args", "problem"),
    [
        (
            lambda folder: shutil.rmtree(folder / "dogs"),
            {},
            "has one sub-folder; write one for each",
        ),
        (lambda folder: draw(folder / "test" / "a.png", 1), {}, "has test/ and no train/"),
        (
            lambda folder: (folder / "empty").mkdir(),
            {},
            "empty/ without an image; their names end in",
        ),
        (
            lambda folder: draw(folder / "cats" / "x.png", 1, size=(9, 9)),
            {},
            "has images of 2 sizes",
        ),
        (
            lambda _: None,
            {"test": 0.01, "size": [0, 3]},
            r"dataset_args.size: \[0, 3\] is no number",
        ),
        (lambda _: None, {"test": 1.5}, "dataset_args.test: 1.5 is no share; write 0.2"),
        (lambda _: None, {"color": "CMYK"}, 'dataset_args.color: "CMYK" is no color; write "grey"'),
        (lambda _: None, {"test": 0.99}, "leaves none to learn from"),
        (
            lambda folder: draw_folder(folder / "train"),
            {},
            "has no sub-folders|has one sub-folder|cats",
        ),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_with_what_to_write(
    make: Callable[[Path], object], args: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    folder = draw_folder(tmp_path / "images")
    make(folder)
    if "train" in os.listdir(folder):  # noqa: PTH208
        given = read_folder(folder)  # cats/ and dogs/ beside train/ are none of its sets
        assert len(given["x_train"]) == 16
        return
    with pytest.raises(OwnDataError, match=problem):
        read_folder(folder, **args)


def test_a_class_that_only_the_test_set_has_is_refused(tmp_path: Path) -> None:
    draw_folder(tmp_path / "train")
    draw_folder(tmp_path / "test")
    draw(tmp_path / "test" / "birds" / "a.png", 1)
    with pytest.raises(OwnDataError, match=r"test/ has birds, which train/ lacks"):
        read_folder(tmp_path)
    shutil.rmtree(tmp_path / "test" / "birds")
    with pytest.raises(OwnDataError, match=r"dataset_args.test: .*of its own; leave this out"):
        read_folder(tmp_path, test=0.5)


def test_all_damaged_images_are_named_at_once(tmp_path: Path) -> None:
    draw_folder(tmp_path)
    cats = tmp_path / "cats"
    (cats / "00.png").write_bytes((cats / "00.png").read_bytes()[:60])
    (cats / "01.png").write_text("<html>404</html>")
    (cats / "02.png").write_bytes(b"")
    Image.fromarray(np.zeros((5, 6), np.uint16)).save(cats / "03.png")
    with pytest.raises(OwnDataError) as caught:
        read_folder(tmp_path)
    (problem,) = caught.value.args
    assert problem.startswith("of 20 images, 4 are damaged: ")
    for name, reason in (("01", "no image"), ("02", "no image"), ("03", "more than 8 bits")):
        assert f"cats/{name}.png ({reason}" in problem
    assert "cats/00.png (" in problem
    assert problem.endswith("replace or remove them")
    (cats / "04.png").unlink()
    os.mkfifo(cats / "04.png")  # nobody writes to it
    with pytest.raises(OwnDataError, match=r"cats/04.png \(not a regular file\)"):
        read_folder(tmp_path)


# In a grid


def complete_runs(logdir: str = "modellogs") -> dict[str, Experiment]:
    runs = map(read_results, Path(logdir).glob("*/*_results.toml"))
    return {run.experiment.run_name: run.experiment for run in runs if run.status == "complete"}


@pytest.mark.usefixtures("own_cache")
def test_the_examples_of_the_guide_run() -> None:
    examples = re.findall(r"```(?:python|toml)\n# (\w+\.\w+)\n(.*?)```", GUIDE, re.S)
    assert {name for name, _ in examples} >= {"digits.toml", "flowers.toml", "walks.toml"}
    for name, text in examples:
        write(text, name)
    subprocess.run([sys.executable, "make_digits.py"], check=True)
    draw_folder(Path("flowers"))
    draw(Path("flowers", "cats", "large.jpg"), 1, size=(64, 48))
    done = fmgrid("run", "digits.toml", "flowers.toml", "walks.toml")
    assert done.returncode == 0, done.stderr
    shapes = {name: info_of(experiment).shape for name, experiment in complete_runs().items()}
    assert shapes == {
        "hidden_units_16": (1, 8, 8),
        "hidden_units_64": (1, 8, 8),
        "color_grey": (1, 16, 16),
        "color_rgb": (3, 16, 16),
        "steps_10": (10, 1),
        "steps_20": (20, 1),
        "hidden_size_8": (20, 1),
        "hidden_size_16": (20, 1),
    }


@pytest.mark.usefixtures("own_cache")
def test_the_same_arrays_are_one_content_wherever_they_come_from(tmp_path: Path) -> None:
    save("data.npz")
    Path("deep").mkdir()
    shutil.copy("data.npz", "deep/other.npz")
    write("import numpy as np\ndef load():\n    return dict(np.load('data.npz'))", "mine.py")
    write(f'[base]\n{QUICK}[[point]]\nname = "far"\ndataset = "other.npz"\n', "deep/grid.toml")
    write(
        f'[base]\n{QUICK}[grid]\ndataset = ["data.npz", "mine:load", "deep/other.npz", '
        f'"{tmp_path}/work/data.npz"]\nname = "{{dataset}}"'
    )
    grids = [Path("grid.toml"), Path("deep/grid.toml")]
    experiments = [each.experiment for each in load_grids(grids, contents=Contents(print))]
    assert len({experiment.content for experiment in experiments}) == 1
    assert len({experiment.fingerprint for experiment in experiments}) == 1
    assert [each.name for each in experiments] == ["data", "load", "deep_other", "far"]


@pytest.mark.usefixtures("own_cache")
def test_data_that_changed_are_not_mixed_with_results_of_before(call: Call) -> None:
    save("data.npz")
    write(f'[base]\ndataset = "data.npz"\n{QUICK}[[point]]\nname = "a"\n')
    assert call("run", "grid.toml", "-j", "0")[0] == 0
    first = complete_runs()["a"]
    save("data.npz", y_test=np.array([0, 1, 2, 0, 1, 1]))
    for command in ("plan", "run"):
        code, _, error = call(command, "grid.toml")
        assert code == 2
        assert 'the data of dataset "data.npz" changed: content' in error
        assert error.splitlines()[-2].startswith("grid.toml:")
    code, _, error = call("run", "grid.toml", "--replace", "-j", "0")
    assert code == 0
    assert ".replaced/a" in error
    assert complete_runs()["a"].content != first.content


@pytest.mark.usefixtures("own_cache")
def test_data_that_were_renamed_are_trained_on_no_second_time_and_reports_need_none(
    own_cache: Path, call: Call
) -> None:
    save("data.npz")
    write(f'[base]\ndataset = "data.npz"\n{QUICK}[[point]]\nname = "a"\n')
    assert call("run", "grid.toml", "-j", "0")[0] == 0
    Path("data.npz").rename("moved.npz")
    write(f'[base]\ndataset = "moved.npz"\n{QUICK}[[point]]\nname = "a"\n')
    code, _, error = call("run", "grid.toml", "--seeds", "0,1", "-j", "0")
    assert code == 0
    assert "1 to train" in error
    shutil.rmtree(own_cache)
    Path("moved.npz").unlink()
    for words in (["list"], ["status"], ["summarize"], ["report", "--grid", "grid.toml"]):
        code, _, error = call(*words)
        assert code == 0, error
    (row,) = json.loads(call("list", "--json")[1])["experiments"]
    assert (row["n"], row["settings"]["dataset"]) == (2, "moved.npz")


def test_runs_on_older_data_of_one_name_have_a_name_of_their_own(
    own_cache: Path, call: Call
) -> None:
    for number in range(2):
        save("data.npz", y_test=np.array([0, 1, 2, 0, 1, number]))
        write(f'[base]\ndataset = "data.npz"\n{QUICK}[[point]]\nname = "a{number}"\n')
        assert call("run", "grid.toml", "-j", "0")[0] == 0
    older = complete_runs()["a0"].content
    listed = json.loads(call("list", "--json")[1])
    names = {row["name"]: row["settings"]["dataset"] for row in listed["experiments"]}
    assert names == {"a0": f"data ({older[:12] if older else ''})", "a1": "data.npz"}
    assert len(list(own_cache.glob("own/*/manifest.json"))) == 2


def test_files_that_did_not_change_are_not_read_again(own_cache: Path) -> None:
    save("data.npz")
    draw_folder(Path("images"))
    write(f'[base]\n{QUICK}[grid]\ndataset = ["data.npz", "images/"]\n')
    heard: list[str] = []
    first = load_grids([Path("grid.toml")], contents=Contents(heard.append))
    assert heard == ["reading data.npz", "reading images/"]
    heavy = "{'numpy', 'torch', 'PIL', 'torchvision'}"
    code = f"""
import sys
from pathlib import Path
from fmgrid.components.own_data import Contents
from fmgrid.grid import load_plan
plan = load_plan([Path("grid.toml")], contents=Contents(sys.exit))
print(*(each.experiment.content for each in plan.definitions))
sys.exit(bool({heavy} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [each.experiment.content for each in first]
    os.utime("images/cats/00.png")
    load_grids([Path("grid.toml")], contents=Contents(heard.append))
    assert heard[2:] == ["reading images/"]
    for memo in own_cache.glob("own/*.json"):
        memo.write_text("damaged")
    load_grids([Path("grid.toml")], contents=Contents(heard.append))
    assert len(heard) == 5


def test_damaged_arrays_are_made_again_and_a_source_that_has_others_is_told(
    own_cache: Path, call: Call
) -> None:
    save("data.npz")
    write(f'[base]\ndataset = "data.npz"\n{QUICK}')
    assert call("run", "grid.toml", "-j", "0")[0] == 0
    (array,) = own_cache.glob("own/*/train_inputs.npy")
    content = bytearray(array.read_bytes())
    content[-1] ^= 1
    array.write_bytes(content)
    code, _, error = call("run", "grid.toml", "--logdir", "second", "-j", "0")
    assert code == 0
    assert "making it again, because of train_inputs.npy: damaged" in error
    one, two = (complete_runs(logdir)["grid"] for logdir in ("modellogs", "second"))
    assert one == two


def test_a_function_is_called_once_a_command_and_may_do_what_it_likes(own_cache: Path) -> None:
    write(
        "import os, sys, random, numpy as np\n"
        "def load(n=12):\n"
        "    print('of no interest'); os.chdir('/'); sys.path.clear()\n"
        f"    open({str(own_cache.parent)!r} + '/calls', 'a').write('x')\n"
        "    x = np.random.normal(size=(n, 2, 3)) + random.random()\n"
        "    x[0, 0] = [*map(ord, {'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'})][:3]\n"
        "    return x, np.arange(n) % 2, x, np.arange(n) % 2\n",
        "mine.py",
    )
    write(f'[base]\ndataset = "mine:load"\n{QUICK}[grid]\nlearning_rate = [0.1, 0.01]\n')
    planned = fmgrid("plan", "grid.toml", "--json")
    assert json.loads(planned.stdout)["to_train"] == 2
    ran = fmgrid("run", "grid.toml", "--json")
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) == 2
    assert (own_cache.parent / "calls").read_text() == "xx"
    assert len({experiment.content for experiment in complete_runs().values()}) == 1


def test_every_mistake_of_every_data_set_is_told_with_its_line(own_cache: Path, call: Call) -> None:
    save("good.npz")
    save("bad.npz", x_test=None, y_train=np.arange(12) % 3 + 0.5)
    draw_folder(Path("images"))
    Path("images/cats/00.png").write_bytes(b"")
    write(
        "import json, os\n"
        "def broken(): return json.loads('')\n"
        "def ends(): os._exit(3)\n"
        "def four(a): return 1, 2\n",
        "mine.py",
    )
    datasets = {
        "gone.npz": "No such file or directory",
        "bad.npz": "has no x_test",
        "images/": "of 20 images, 1 is damaged: cats/00.png (no image); replace or remove it",
        "mine:broken": f"line 1 column 1 (char 0) at {Path.cwd()}/mine.py:2",
        "mine:ends": "cannot be read: it ended the process: exit code 3",
        "mine:brokn": "did you mean broken?",
        "mine:four": "",
        "nothing:four": "No module named 'nothing'",
        "images": 'your own is "images.npz", "images/" or "package.module:function"',
        "good": "has no data set",
    }
    grid = [f"[base]\n{QUICK}"]
    grid += [f'[[point]]\nname = "p{n}"\ndataset = "{name}"' for n, name in enumerate(datasets)]
    grid += ['[[point]]\nname = "args"\ndataset = "images/"\ndataset_args.size = 3']
    grid += ['[[point]]\nname = "more"\ndataset = "good.npz"\ndataset_args.size = [3, 3]']
    grid += ['[[point]]\nname = "content"\ndataset = "good.npz"\ncontent = "a"']
    grid += ['[[point]]\nname = "batch"\ndataset = "good.npz"\nbatch_size = 13']
    path = write("\n".join(grid))
    lines = path.read_text().splitlines()
    code, _, error = call("run", "grid.toml")
    assert code == 2
    told = error.splitlines()
    for name, problem in datasets.items():
        if problem:
            line = 1 + lines.index(f'dataset = "{name}"')
            assert any(
                each.startswith(f"grid.toml:{line}: point.dataset: ") and problem in each
                for each in told
            ), (name, error)
    assert "y_train holds 0.5 in row 0; labels are whole numbers from 0" in error
    for problem in (
        "point.dataset_args.size: 3 is no number of rows and columns; write [32, 32]",
        "point.dataset_args.size: good.npz takes no size",
        "point.content: follows from the data; write dataset",
        "point.batch_size: batch_size = 13 exceeds the 12 training images",
    ):
        assert problem in error
    assert not Path("modellogs").exists()
    assert not list(own_cache.glob("own/*.unfinished"))


@pytest.mark.usefixtures("own_cache")
def test_own_data_go_with_every_network_and_every_choice_of_validation_images() -> None:
    random, labels = np.random.default_rng(0), np.arange(60) % 3
    for name, shape in (("images", (1, 6, 6)), ("sequences", (5, 2))):
        x = random.normal(size=(60, *shape)) + labels.reshape(60, *(1 for _ in shape))
        sets = {"y_train": labels, "x_test": x[:12], "y_test": labels[:12]}
        save(f"{name}.npz", x_train=x, **sets, x_valid=x[:9], y_valid=labels[:9])
    config = "{ input_size = 2, hidden_size = 4, num_layers = 1, output_size = 3 }"
    write(
        f"""
[base]
{QUICK.replace("hidden_units = [8]", "standardize = true")}
[[point]]
name = "mlp"
dataset = "sequences.npz"
validation = 0.25

[[point]]
name = "cnn"
dataset = "images.npz"
network = "CNN"
network_args.channels = [2]
validation = "valid"

[[point]]
name = "gru"
dataset = "sequences.npz"
network = "mltrainer.rnn_models:GRUmodel"
network_args.config = {config}
validation = 6
"""
    )
    done = fmgrid("run", "grid.toml")
    assert done.returncode == 0, done.stderr
    counted = {name: workload_of(experiment)[:2] for name, experiment in complete_runs().items()}
    assert counted == {"mlp": (45, 15), "cnn": (60, 9), "gru": (54, 6)}


@pytest.mark.usefixtures("own_cache")
def test_whole_numbers_are_for_networks_that_embed_them(call: Call) -> None:
    x = np.arange(36).reshape(12, 3)
    save("words.npz", x_train=x, x_test=x[:6])
    write(
        f'[base]\ndataset = "words.npz"\n{QUICK}'
        '[[point]]\nname = "a"\n[[point]]\nname = "b"\nstandardize = true\n'
    )
    code, _, error = call("plan", "grid.toml")
    assert code == 2
    network, standardize = error.splitlines()[1:3]
    assert 'network = "MLP" takes float32, and words.npz holds int64' in network
    assert standardize.startswith("grid.toml:11: point.standardize: standardize = true needs")


@pytest.mark.usefixtures("own_cache")
def test_a_layout_of_images_is_refused_for_tables_by_plan(call: Call) -> None:
    save("data.npz")
    write(f'[base]\ndataset = "data.npz"\n{QUICK}layout = "channels_last"\n')
    code, _, error = call("plan", "grid.toml")
    assert code == 2
    assert 'layout = "channels_last" needs images, and the data have the shape (3,)' in error


@pytest.mark.usefixtures("own_cache")
def test_the_command_data_describes_own_data_too(call: Call) -> None:
    save("data.npz", classes=["a", "b", "c"], x_valid=np.ones((3, 3), "f4"), y_valid=[0, 1, 2])
    code, out, _ = call("data", "data.npz")
    assert code == 0
    assert out.startswith(
        "data.npz: your own data\nimages    12 for training, 6 for testing, 3 for"
    )
    assert out.endswith("all    12     6     3\n")
    described = json.loads(call("data", "data.npz", "--json")[1])
    assert described["counts"]["valid"] == {"a": 1, "b": 1, "c": 1}
    for words, problem in (
        (["gone.npz"], "fmgrid data gone.npz: "),
        (["nothing:load"], "fmgrid data nothing:load: module nothing cannot be imported"),
        (["data.npz", "--dry-run"], "--dry-run: your own data are read to be described"),
        (["data.npz", "--data-dir", "."], "--data-dir: your own data are read to be described"),
    ):
        code, _, error = call("data", *words)
        assert code == 2
        assert problem in error


def test_a_path_of_the_command_line_begins_in_the_current_folder(
    own_cache: Path, call: Call
) -> None:
    Path("grids").mkdir()
    save("data.npz")
    write(f"[base]\n{QUICK}", "grids/grid.toml")
    code, _, error = call("plan", "grids/grid.toml", "--set", "dataset=gone.npz")
    assert code == 2
    assert error.startswith('--set dataset=gone.npz: "gone.npz": ')
    assert call("plan", "grids/grid.toml", "--set", "dataset=data.npz")[0] == 0
    assert list(own_cache.glob("own/*/manifest.json"))


def test_a_kill_while_the_cache_is_made_costs_nothing(own_cache: Path) -> None:
    write(
        "import time, pathlib, numpy as np\n"
        "def load():\n"
        "    if not pathlib.Path('slow').exists():\n"
        "        pathlib.Path('slow').touch(); time.sleep(600)\n"
        "    x = np.zeros((12, 3)); return x, np.arange(12) % 2, x, np.arange(12) % 2\n",
        "mine.py",
    )
    write(f'[base]\ndataset = "mine:load"\n{QUICK}')
    process = start("run", "grid.toml")
    while not Path("slow").exists():
        time.sleep(0.01)
    (workspace,) = own_cache.glob("own/*.unfinished")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert workspace.is_dir()
    assert fmgrid("run", "grid.toml").returncode == 0
    assert not workspace.exists()
    assert len(complete_runs()) == 1


def test_two_commands_that_start_together_read_the_data_once(own_cache: Path) -> None:
    save("data.npz", x_train=np.zeros((12, 300_000), "f4"), x_test=np.zeros((6, 300_000), "f4"))
    write(f'[base]\ndataset = "data.npz"\n{QUICK}')
    both = [start("plan", "grid.toml") for _ in range(2)]
    told = "".join(process.communicate()[1] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert told.count("reading data.npz") == 1
    assert len(list(own_cache.glob("own/*/manifest.json"))) == 1


def test_a_cache_that_cannot_be_written_is_the_machines_fault(own_cache: Path) -> None:
    save("data.npz")
    own_cache.write_text("a file")
    write(f'[base]\ndataset = "data.npz"\n{QUICK}')
    refused = fmgrid("plan", "grid.toml")
    assert refused.returncode == 3
    assert f"{own_cache}/own: cannot serve as the cache" in refused.stderr


def test_a_disk_that_is_full_is_the_machines_fault(
    tmp_path: Path,
) -> None:
    save(str(tmp_path / "data.npz"))
    request = ("data.npz", str(tmp_path / "data.npz"), {}, "/dev/full/none")
    assert "fault" in read(request)


def test_the_facts_of_data_that_are_gone_are_a_fault_with_a_remedy(own_cache: Path) -> None:
    with pytest.raises(DataError, match=f"{own_cache}/own/.*makes it again"):
        info_of(Experiment(name="any", dataset="data.npz", content="f" * 64))


# Names and words


@pytest.mark.parametrize(
    ("dataset", "label"),
    [
        ("digits.npz", "digits"),
        ("raw/digits.npz", "raw/digits"),
        ("../digits.NPZ", "digits.NPZ"),
        ("/home/me/digits.npz", "digits"),
        ("flowers/", "flowers"),
        ("package.module:walks", "walks"),
        ("fashion-mnist", "fashion-mnist"),
    ],
)
def test_a_label_has_the_name_without_the_rest(dataset: str, label: str) -> None:
    assert show(dataset) == label


def test_a_change_of_data_is_told_as_one() -> None:
    def made(**settings: Any) -> Experiment:
        return Experiment(name="any", **settings)

    old = made(dataset="a.npz", content="0" * 64)
    assert old.fingerprint == made(dataset="b/", content="0" * 64).fingerprint
    assert changed_settings(old, made(dataset="b/", content="0" * 64)) == ()
    assert changed_settings(old, made(dataset="a.npz", content="1" * 64)) == ("dataset",)
    assert describe_change(old, made(dataset="a.npz", content="1" * 64)) == (
        'the data of dataset "a.npz" changed: content 000000000000 -> 111111111111'
    )
    assert describe_change(old, made(dataset="b.npz", content="1" * 64)) == (
        'dataset "a.npz" -> "b.npz"'
    )
    assert describe_change(old, made()) == 'dataset "a.npz" -> "fashion-mnist"'


def test_own_data_leave_old_fingerprints_alone_and_a_command_answers_in_process(
    own_cache: Path, call: Call
) -> None:
    del own_cache
    save("data.npz")
    write(f'[base]\ndataset = "data.npz"\n{QUICK}')
    code, out, _ = call("plan", "grid.toml", "--json")
    (run,) = json.loads(out)["runs"]
    assert code == 0
    assert run["settings"]["content"]
    assert run["settings"]["dataset"] == "data.npz"
