import contextlib
import errno
import gzip
import hashlib
import http.server
import itertools
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import filelock
import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st

from fmgrid.data import cache as data
from fmgrid.data import sources
from fmgrid.data.batches import (
    SPLITS,
    Images,
    class_counts,
    load_images,
    load_split,
    shuffled_batches,
)
from fmgrid.data.cache import unchanged
from fmgrid.data.catalogue import DATASETS
from fmgrid.errors import DataError

PUBLISHED = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
ARRAYS = ("train_inputs.npy", "train_labels.npy", "test_inputs.npy", "test_labels.npy")
CLASSES = DATASETS["fashion-mnist"].classes
Batches: TypeAlias = Iterator[tuple[torch.Tensor, torch.Tensor]]
HTML = b"<!DOCTYPE html><title>Log in to the hotel's network</title>"


@pytest.fixture(scope="session")
def published(real_data: data.Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the real files as published, but gzipped faster."""
    folder = tmp_path_factory.mktemp("published")
    for name, array in zip(PUBLISHED, ARRAYS, strict=True):
        numbers = np.load(real_data.folder / array)
        if numbers.ndim > 1:
            numbers = np.rint(numbers * 255).reshape(-1, 28, 28)
        header = bytes([0, 0, 8, numbers.ndim]) + np.array(numbers.shape, ">u4").tobytes()
        content = header + numbers.astype(np.uint8).tobytes()
        (folder / f"{name}.gz").write_bytes(gzip.compress(content, 1, mtime=0))
    return folder


@pytest.fixture(scope="session")
def torchvision_root(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as torchvision leaves it: the files unpacked in FashionMNIST/raw."""
    root = tmp_path_factory.mktemp("torchvision")
    raw = root / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name in PUBLISHED:
        (raw / name).write_bytes(gzip.decompress((published / f"{name}.gz").read_bytes()))
    return root


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no other choice of the user's."""
    monkeypatch.setenv("FMGRID_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FMGRID_DATA", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def real_cache(real_data: data.Prepared, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache in which the real data are ready."""
    monkeypatch.setenv("FMGRID_CACHE", str(real_data.folder.parent))
    return real_data.folder.parent


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No package, no server that answers, and no program but those in the folder returned."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setattr(sources, "DEBIAN_FOLDER", tmp_path / "no-package")
    monkeypatch.setenv("PATH", str(programs))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    return programs


@pytest.fixture
def damaged_copy(published: Path, tmp_path: Path) -> Callable[[str, bytes | None], Path]:
    """Return a function that gives a copy of the published files with one of them replaced."""

    def copy(name: str, content: bytes | None) -> Path:
        folder = tmp_path / "copy"
        folder.mkdir()
        for path in published.iterdir():
            if path.name != name:
                (folder / path.name).symlink_to(path)
        if content is not None:
            (folder / name).write_bytes(content)
        return folder

    return copy


def bits(folder: Path) -> dict[str, str]:
    arrays = {name: np.load(folder / name) for name in ARRAYS}
    return {name: hashlib.sha256(array.data).hexdigest() for name, array in arrays.items()}


def flip_a_byte(path: Path, place: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def flip_a_byte_and_back(path: Path) -> None:
    for _ in range(2):
        flip_a_byte(path)


def replace(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{text}\n")
    path.chmod(0o755)


# What is decoded


def test_pixels_and_labels_are_bit_for_bit_what_torchvision_gives(
    real_data: data.Prepared, torchvision_root: Path
) -> None:
    to_tensor = torchvision.transforms.ToTensor()
    for split in SPLITS:
        theirs = torchvision.datasets.FashionMNIST(torchvision_root, train=split == "train")
        ours = load_split(real_data.folder, split)
        assert torch.equal(ours.labels, theirs.targets)
        pixels = torch.stack([to_tensor(image) for image in theirs.data.numpy()])
        assert torch.equal(ours.inputs, pixels)


def test_the_pictures_that_torchvision_hands_out_become_the_same_pixels(
    real_data: data.Prepared, torchvision_root: Path
) -> None:
    theirs = torchvision.datasets.FashionMNIST(
        torchvision_root, train=False, transform=torchvision.transforms.ToTensor()
    )
    ours = load_split(real_data.folder, "test")
    for index in range(0, 10_000, 500):
        pixels, label = theirs[index]
        assert torch.equal(ours.inputs[index], pixels)
        assert ours.labels[index] == label


def test_class_names_are_torchvisions() -> None:
    assert list(CLASSES) == torchvision.datasets.FashionMNIST.classes


@pytest.mark.parametrize(
    ("dataset", "train", "test"),
    [("fashion-mnist", 6000, 1000), ("fashion-mnist-sample", 200, 50)],
)
def test_every_class_has_as_many_images(
    dataset: str,
    train: int,
    test: int,
    real_data: data.Prepared,
    sample_data: data.Prepared,
) -> None:
    folder = {"fashion-mnist": real_data, "fashion-mnist-sample": sample_data}[dataset].folder
    assert class_counts(folder, CLASSES) == {
        "train": dict.fromkeys(CLASSES, train),
        "test": dict.fromkeys(CLASSES, test),
    }


def test_the_sample_is_a_subset_of_the_real_images_split_by_split(
    real_data: data.Prepared, sample_data: data.Prepared
) -> None:
    for split in SPLITS:
        real = load_split(real_data.folder, split)
        known = {
            (pixels.tobytes(), label)
            for pixels, label in zip(real.inputs.numpy(), real.labels.tolist(), strict=True)
        }
        sample = load_split(sample_data.folder, split)
        ours = {
            (pixels.tobytes(), label)
            for pixels, label in zip(sample.inputs.numpy(), sample.labels.tolist(), strict=True)
        }
        assert ours < known
        assert len(ours) == len(sample.labels)


def test_the_script_makes_the_sample_that_is_shipped(real_data: data.Prepared) -> None:
    maker = Path(__file__).parents[1] / "scripts" / "make_sample.py"
    environment = os.environ | {"FMGRID_CACHE": str(real_data.folder.parent)}
    done = subprocess.run([sys.executable, maker, "--check"], env=environment, check=False)
    assert done.returncode == 0


def test_mapped_tensors_are_shared_within_a_process_and_read_as_one_block(
    sample_data: data.Prepared,
) -> None:
    train = load_split(sample_data.folder, "train")
    assert load_split(sample_data.folder, "train") is train
    assert train.inputs.is_contiguous()
    assert (train.inputs.shape, train.inputs.dtype) == ((2000, 1, 28, 28), torch.float32)
    assert (train.labels.shape, train.labels.dtype) == ((2000,), torch.int64)


def test_writing_to_a_mapped_tensor_leaves_the_cache_alone() -> None:
    prepared = data.prepare("fashion-mnist-sample")
    before = bits(prepared.folder)
    load_split(prepared.folder, "test").inputs.fill_(0.5)
    assert bits(prepared.folder) == before


def test_a_folder_that_is_gone_is_a_data_error_that_says_how_to_mend_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="fmgrid data"):
        load_split(tmp_path / "gone", "train")


def test_importing_the_module_imports_neither_torch_nor_numpy() -> None:
    code = "import sys, fmgrid.data.cache; sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Where the files come from


@pytest.mark.usefixtures("offline")
def test_the_cache_is_used_without_asking_any_source(cache: Path) -> None:
    first = data.prepare("fashion-mnist-sample")
    heard: list[str] = []
    again = data.prepare("fashion-mnist-sample", inform=heard.append)
    assert heard == []
    assert bits(again.folder) == bits(first.folder)
    assert str(cache) in again.source


def test_a_chosen_folder_is_decoded_into_the_cache(
    published: Path, real_data: data.Prepared, cache: Path
) -> None:
    prepared = data.prepare("fashion-mnist", published)
    assert prepared.folder == cache / "fashion-mnist"
    assert str(published) in prepared.source
    assert bits(prepared.folder) == bits(real_data.folder)


def test_a_folder_that_torchvision_filled_can_be_chosen(
    torchvision_root: Path, real_cache: Path
) -> None:
    for folder in (torchvision_root, torchvision_root / "FashionMNIST" / "raw"):
        prepared = data.prepare("fashion-mnist", folder)
        assert str(folder) in prepared.source
        assert prepared.folder == real_cache / "fashion-mnist"


@pytest.mark.usefixtures("real_cache")
def test_the_option_comes_before_the_environment_variable(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FMGRID_DATA", str(tmp_path / "nothing"))
    with pytest.raises(DataError, match="FMGRID_DATA"):
        data.prepare("fashion-mnist")
    assert "--data-dir" in data.prepare("fashion-mnist", published).source
    monkeypatch.setenv("FMGRID_DATA", str(published))
    assert "FMGRID_DATA" in data.prepare("fashion-mnist").source


@pytest.mark.usefixtures("real_cache")
def test_a_wrong_choice_is_an_error_although_the_cache_is_good(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        data.prepare("fashion-mnist", tmp_path)
    checksums = DATASETS["fashion-mnist"].files.sha256
    assert tuple(checksums) == PUBLISHED
    for name, sha256 in checksums.items():
        assert name in str(caught.value)
        assert sha256 in str(caught.value)


def test_the_sample_comes_from_fmgrid_whatever_the_choice(tmp_path: Path) -> None:
    assert data.prepare("fashion-mnist-sample", tmp_path / "nothing").source == "fmgrid's own files"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        pytest.param(
            lambda good: gzip.compress(good[:-1] + bytes([good[-1] ^ 1]), 1),
            "its SHA-256 is",
            id="one pixel differs",
        ),
        pytest.param(
            lambda good: gzip.compress(good, 1)[:-1000], "cannot be read", id="truncated gzip"
        ),
        pytest.param(
            lambda good: gzip.compress(good, 1)[:50_000] + b"\0" * 50_000,
            "cannot be read",
            id="damaged gzip",
        ),
        pytest.param(lambda _: HTML, "Not a gzipped file", id="a web page"),
        pytest.param(
            lambda good: gzip.compress(good + bytes(10**8), 1), "more than 100,000,000", id="a bomb"
        ),
        pytest.param(
            lambda good: gzip.compress(good, 1) + bytes(10**8),
            "larger than 100,000,000",
            id="padding",
        ),
        pytest.param(lambda _: b"", "its SHA-256 is", id="an empty file"),
        pytest.param(lambda _: None, "neither with nor without .gz", id="no file"),
    ],
)
def test_a_damaged_file_is_named_with_its_reason(
    damage: Callable[[bytes], bytes | None],
    reason: str,
    published: Path,
    damaged_copy: Callable[[str, bytes | None], Path],
    cache: Path,
) -> None:
    name = "t10k-images-idx3-ubyte.gz"
    good = gzip.decompress((published / name).read_bytes())
    with pytest.raises(DataError) as caught:
        data.prepare("fashion-mnist", damaged_copy(name, damage(good)))
    message = str(caught.value)
    assert "t10k-images-idx3-ubyte" in message
    assert reason in message
    assert "train-images" not in message
    assert not (cache / "fashion-mnist").exists()


def test_a_published_file_of_a_terabyte_is_not_read(published: Path, tmp_path: Path) -> None:
    for name in PUBLISHED:
        content = gzip.decompress((published / f"{name}.gz").read_bytes())
        (tmp_path / name).write_bytes(content)
    os.truncate(tmp_path / PUBLISHED[0], 10**12)
    with pytest.raises(DataError, match=f"{PUBLISHED[0]}: cannot be read: larger than 100,000,000"):
        data.prepare("fashion-mnist", tmp_path)


def test_train_and_test_images_in_each_others_place_are_refused(
    published: Path, tmp_path: Path
) -> None:
    train_images, train_labels, test_images, test_labels = PUBLISHED
    swapped = (test_images, train_labels, train_images, test_labels)
    for name, content in zip(PUBLISHED, swapped, strict=True):
        (tmp_path / f"{name}.gz").symlink_to(published / f"{content}.gz")
    with pytest.raises(DataError) as caught:
        data.prepare("fashion-mnist", tmp_path)
    assert [name in str(caught.value) for name in PUBLISHED] == [True, False, True, False]


def test_debians_package_is_used_where_it_is_installed(
    published: Path, real_data: data.Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "DEBIAN_FOLDER", published)
    prepared = data.prepare("fashion-mnist")
    assert "Debian" in prepared.source
    assert bits(prepared.folder) == bits(real_data.folder)


@pytest.fixture
def mirror(
    offline: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[dict[str, bytes]], None]]:
    """Return a function that makes these files the ones torchvision downloads."""
    files: dict[str, bytes] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = files[self.path.strip("/")]
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # torchvision looks for redirections first
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    def serve(contents: dict[str, bytes]) -> None:
        files.update(contents)
        resources = [(name, hashlib.md5(files[name]).hexdigest()) for name in files]  # noqa: S324
        # Python imports a module of this name as it starts.
        (offline / "sitecustomize.py").write_text(
            "from torchvision.datasets import FashionMNIST\n"
            f"FashionMNIST.mirrors = ['http://127.0.0.1:{server.server_port}/']\n"
            f"FashionMNIST.resources = {resources}\n"
        )
        monkeypatch.setenv("PYTHONPATH", str(offline))
        monkeypatch.setenv("no_proxy", "127.0.0.1")

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield serve
        server.shutdown()
        thread.join()


def test_torchvisions_download_is_decoded_in_silence_and_leaves_nothing_behind(
    published: Path,
    real_data: data.Prepared,
    mirror: Callable[[dict[str, bytes]], None],
    elsewhere: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    mirror({f"{name}.gz": (published / f"{name}.gz").read_bytes() for name in PUBLISHED})
    prepared = data.prepare("fashion-mnist")
    assert "torchvision" in prepared.source
    assert bits(prepared.folder) == bits(real_data.folder)
    assert capfd.readouterr() == ("", "")
    cache = prepared.folder.parent
    assert {path.name for path in cache.iterdir()} == {"fashion-mnist", "fashion-mnist.lock"}
    assert {path.name for path in prepared.folder.iterdir()} == {*ARRAYS, data.MANIFEST}
    assert list(elsewhere.iterdir()) == []


@pytest.mark.usefixtures("offline")
def test_what_torchvision_delivers_is_not_trusted_either(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = f"import pathlib; pathlib.Path('{PUBLISHED[0]}.gz').write_bytes({HTML})"
    monkeypatch.setattr(sources, "_TORCHVISION", page)
    with pytest.raises(DataError, match=r"torchvision's download: .*Not a gzipped file"):
        data.prepare("fashion-mnist")
    assert not (cache / "fashion-mnist").exists()


def test_a_server_that_says_nothing_is_given_up(
    offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_SILENCE_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        # A stand-in for torchvision, which takes seconds to import.
        (offline / "torchvision").mkdir()
        (offline / "torchvision" / "__init__.py").touch()
        (offline / "torchvision" / "datasets.py").write_text(
            "import urllib.request\n"
            "def FashionMNIST(root, download):\n"
            f"    urllib.request.urlopen('http://127.0.0.1:{silent.getsockname()[1]}')\n"
        )
        monkeypatch.setenv("PYTHONPATH", str(offline))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        with pytest.raises(DataError, match=r"torchvision's download: .*timed out"):
            data.prepare("fashion-mnist")


@pytest.fixture
def no_torchvision(offline: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Spare a test the seconds that importing torchvision takes."""
    monkeypatch.setattr(sources, "_TORCHVISION", "raise SystemExit('no torchvision today')")
    return offline


def test_apt_get_downloads_the_package_where_nothing_else_works(
    published: Path, real_data: data.Prepared, no_torchvision: Path
) -> None:
    script(
        no_torchvision / "apt-get", 'test "$*" = "download dataset-fashion-mnist" && touch a.deb'
    )
    script(
        no_torchvision / "dpkg-deb",
        f'test "$1 $2" = "-x a.deb" && mkdir -p "$3/usr/share/datasets" && '
        f'cp -r "{published}" "$3/usr/share/datasets/fashion-mnist"',
    )
    heard: list[str] = []
    prepared = data.prepare("fashion-mnist", inform=heard.append)
    assert "apt-get" in prepared.source
    assert bits(prepared.folder) == bits(real_data.folder)
    assert [line.rpartition("trying ")[2].split()[0] for line in heard] == [
        "Debian's",
        "torchvision's",
        "apt-get",
    ]


def test_a_download_that_takes_for_ever_is_stopped(
    no_torchvision: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_DOWNLOAD_SECONDS", 0.5)
    script(no_torchvision / "apt-get", "sleep 100 & wait")
    script(no_torchvision / "dpkg-deb", "exit 0")
    with pytest.raises(DataError, match=r"apt-get download .*: not done after"):
        data.prepare("fashion-mnist")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, where all that is not told to write into the cache would write."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "TORCH_HOME"):
        monkeypatch.setenv(name, str(folder))
    return folder


@pytest.mark.usefixtures("offline")
def test_where_nothing_works_one_error_lists_every_attempt_and_every_remedy(
    cache: Path, elsewhere: Path
) -> None:
    with pytest.raises(DataError) as caught:
        data.prepare("fashion-mnist")
    lines = str(caught.value).splitlines()
    assert lines == [
        f"fashion-mnist: not in the cache, {cache}/fashion-mnist, and no source has it:",
        f"  Debian's package dataset-fashion-mnist: not installed: no {sources.DEBIAN_FOLDER}",
        lines[2],
        "  apt-get download dataset-fashion-mnist: this system has no apt-get or no dpkg-deb",
        "What helps:",
        *(f"  {remedy}" for remedy in DATASETS["fashion-mnist"].remedies),
    ]
    assert lines[2].startswith("  torchvision's download: Error downloading train-images")
    assert "refused" in lines[2]
    assert [path.name for path in cache.iterdir()] == ["fashion-mnist.lock"]
    assert list(elsewhere.iterdir()) == []


def test_a_programs_last_word_is_the_reason_why_its_download_failed(no_torchvision: Path) -> None:
    script(
        no_torchvision / "apt-get", "echo W: old news >&2; echo E: No such package >&2; exit 100"
    )
    script(no_torchvision / "dpkg-deb", "exit 0")
    with pytest.raises(DataError, match=r"apt-get download .*: E: No such package\n"):
        data.prepare("fashion-mnist")


@pytest.mark.usefixtures("no_torchvision")
def test_a_damaged_package_is_listed_and_the_next_source_asked(
    damaged_copy: Callable[[str, bytes | None], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = damaged_copy("train-labels-idx1-ubyte.gz", HTML)
    monkeypatch.setattr(sources, "DEBIAN_FOLDER", folder)
    with pytest.raises(DataError, match=r"Debian's package .*: train-labels.*\n.*no torchvision"):
        data.prepare("fashion-mnist")


# The cache


@pytest.mark.parametrize("array", ARRAYS)
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(flip_a_byte, id="a flipped byte of data"),
        pytest.param(lambda path: flip_a_byte(path, 20), id="a flipped byte of the header"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:-1]), id="a lost byte"),
        pytest.param(lambda path: path.write_bytes(b""), id="an empty file"),
        pytest.param(lambda path: replace(path, os.mkfifo), id="a named pipe"),
        pytest.param(
            lambda path: replace(path, lambda it: it.symlink_to("/dev/zero")),
            id="an endless device",
        ),
        pytest.param(Path.unlink, id="a lost file"),
    ],
)
def test_a_damaged_cache_is_said_and_rebuilt(
    array: str, damage: Callable[[Path], None], sample_data: data.Prepared
) -> None:
    prepared = data.prepare("fashion-mnist-sample")
    damage(prepared.folder / array)
    warnings: list[str] = []
    assert bits(data.prepare("fashion-mnist-sample", warn=warnings.append).folder) == bits(
        sample_data.folder
    )
    (warning,) = warnings
    assert array in warning


def change_one(numbers: np.ndarray) -> np.ndarray:
    numbers.flat[7] += 1e-6 if numbers.ndim == 2 else 256
    return numbers


@pytest.mark.parametrize("array", ARRAYS)
@pytest.mark.parametrize(
    "change",
    [
        change_one,
        lambda numbers: numbers * np.nan,
        lambda numbers: numbers.astype(complex),
        lambda numbers: numbers.astype(">f8"),
        lambda numbers: numbers.astype([("number", numbers.dtype)]),
        lambda numbers: numbers[:-1],
        lambda numbers: numbers[None],
        lambda numbers: numbers[0],
        lambda _: np.array(1),
    ],
    ids=["one", "nan", "complex", "wide", "records", "fewer", "deeper", "one image", "a number"],
)
@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
def test_arrays_that_hold_other_numbers_are_made_again(
    change: Callable[[np.ndarray], np.ndarray], array: str, sample_data: data.Prepared
) -> None:
    folder = data.prepare("fashion-mnist-sample").folder
    numbers = change(np.load(folder / array))
    np.save(folder / array, numbers)
    heard: list[str] = []
    assert bits(data.prepare("fashion-mnist-sample", inform=heard.append).folder) == bits(
        sample_data.folder
    )
    assert f"{array}: damaged" in heard[0]


def test_a_rebuilt_array_is_a_new_file_so_that_a_mapping_of_the_old_one_stays_as_it_is() -> None:
    array = data.prepare("fashion-mnist-sample").folder / "test_inputs.npy"
    array.write_text("damage")
    old = array.with_name("old")
    old.hardlink_to(array)
    data.prepare("fashion-mnist-sample")
    assert old.read_text() == "damage"


@pytest.mark.usefixtures("no_torchvision")
def test_a_damaged_cache_that_cannot_be_rebuilt_is_an_error(
    real_data: data.Prepared, cache: Path
) -> None:
    folder = cache / "fashion-mnist"
    folder.mkdir(parents=True)
    for name in (*ARRAYS[:3], data.MANIFEST):
        (folder / name).symlink_to(real_data.folder / name)
    (folder / ARRAYS[3]).write_bytes((real_data.folder / ARRAYS[3]).read_bytes())
    assert data.prepare("fashion-mnist").folder == folder
    flip_a_byte(folder / ARRAYS[3])
    heard: list[str] = []
    with pytest.raises(DataError, match="no source has it"):
        data.prepare("fashion-mnist", inform=heard.append)
    assert f"{ARRAYS[3]}: damaged" in heard[0]


def test_a_cache_that_cannot_be_written_is_named_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FMGRID_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match=f"{tmp_path}/file/cache: .*FMGRID_CACHE"):
        data.prepare("fashion-mnist-sample")


@pytest.fixture
def somebody(cache: Path) -> Iterator[Callable[[], data.Prepared]]:
    """Return a function that calls `prepare` as a user who may not write into the cache."""
    data.prepare("fashion-mnist-sample")
    for path in (cache, cache / "fashion-mnist-sample"):
        path.chmod(0o555)

    def prepare() -> data.Prepared:
        # Root may write anywhere; a thread has no user of its own, hence this.
        uid = os.geteuid()
        if uid == 0:
            os.seteuid(65534)
        try:
            return data.prepare("fashion-mnist-sample")
        finally:
            os.seteuid(uid)

    closed = [path for path in cache.parents if path.stat().st_mode & 0o011 != 0o011]
    modes = {path: path.stat().st_mode for path in closed if os.geteuid() == 0}
    for path, mode in modes.items():
        path.chmod(mode | 0o011)
    yield prepare
    for path, mode in modes.items():
        path.chmod(mode)
    for path in (cache, cache / "fashion-mnist-sample"):
        path.chmod(0o755)


def test_a_cache_that_one_may_only_read_is_verified_and_used(
    somebody: Callable[[], data.Prepared], cache: Path
) -> None:
    before = sorted(cache.rglob("*"))
    prepared = somebody()
    assert prepared.folder == cache / "fashion-mnist-sample"
    assert "the cache" in prepared.source
    with unchanged(prepared):
        pass
    (cache / "fashion-mnist-sample.lock").unlink()
    assert somebody() == prepared
    assert sorted(cache.rglob("*")) == [path for path in before if path.suffix != ".lock"]


def test_a_cache_that_one_may_only_read_and_that_is_damaged_is_said_to_be(
    somebody: Callable[[], data.Prepared], cache: Path
) -> None:
    flip_a_byte(cache / "fashion-mnist-sample" / "train_labels.npy")
    with pytest.raises(DataError, match=r"Permission denied.*train_labels.npy: damaged.*CACHE"):
        somebody()


def test_a_cache_that_one_may_not_even_look_into_is_named_with_the_way_out(
    somebody: Callable[[], data.Prepared], cache: Path
) -> None:
    cache.chmod(0)
    with pytest.raises(DataError, match=f"{cache}: cannot serve .*Permission denied.*FMGRID_CACHE"):
        somebody()
    cache.chmod(0o755)


@pytest.mark.parametrize("error", ["EROFS", "EACCES", "EPERM", "ENOSPC"])
def test_whatever_keeps_the_cache_from_being_written_a_whole_one_is_used(
    error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = data.prepare("fashion-mnist-sample")

    def refuse(*_: object, **__: object) -> None:
        number = getattr(errno, error)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "mkdir", refuse)
    again = data.prepare("fashion-mnist-sample")
    assert (again.folder, again.facts) == (prepared.folder, prepared.facts)


# Data that change while a grid runs


def test_data_that_are_as_they_were_are_used_as_they_are(
    sample_data: data.Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "_objection_to", lambda *_: pytest.fail("hashed again"))
    before = load_split(sample_data.folder, "train")
    with unchanged(sample_data):
        assert load_split(sample_data.folder, "train") is before


def write_in_place(path: Path) -> None:
    """Write other numbers to a file, and give it the times that it had."""
    times = path.stat()
    flip_a_byte(path, 1000)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def put_another(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    flip_a_byte(other)
    other.replace(path)


CHANGES = [
    pytest.param(flip_a_byte, id="written to"),
    pytest.param(write_in_place, id="written to and its time set back"),
    pytest.param(put_another, id="replaced"),
    pytest.param(lambda path: os.truncate(path, 200), id="cut off"),
    pytest.param(Path.unlink, id="deleted"),
    pytest.param(lambda path: replace(path, os.mkfifo), id="replaced by a pipe"),
]


@pytest.mark.parametrize("array", ["test_inputs.npy", "train_labels.npy"])
@pytest.mark.parametrize("change", CHANGES)
def test_data_that_have_changed_since_they_were_verified_are_not_trained_on(
    change: Callable[[Path], None], array: str
) -> None:
    prepared = data.prepare("fashion-mnist-sample")
    load_images(prepared.folder, "test")
    change(prepared.folder / array)
    for _ in range(2):
        with (
            pytest.raises(DataError, match=f"changed while the grid ran: {array}"),
            unchanged(prepared),
        ):
            pytest.fail("trained")


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_during_a_training_is_noticed_at_its_end(change: Callable[[Path], None]) -> None:
    prepared = data.prepare("fashion-mnist-sample")
    with (
        pytest.raises(DataError, match="changed while a run was trained on it"),
        unchanged(prepared),
    ):
        change(prepared.folder / "train_labels.npy")


def test_a_change_that_is_undone_during_a_training_is_noticed_all_the_same() -> None:
    prepared = data.prepare("fashion-mnist-sample")
    with (
        pytest.raises(DataError, match="changed while a run was trained on it"),
        unchanged(prepared),
    ):
        flip_a_byte_and_back(prepared.folder / "train_labels.npy")


@pytest.mark.parametrize(
    "touch",
    [
        Path.touch,
        lambda path: path.with_name("backup").hardlink_to(path),
        lambda path: path.chmod(0o400),
    ],
    ids=["touched", "linked", "of another mode"],
)
def test_data_that_somebody_has_only_touched_are_verified_anew_and_used(
    touch: Callable[[Path], None],
) -> None:
    prepared = data.prepare("fashion-mnist-sample")
    touch(prepared.folder / "train_labels.npy")
    with unchanged(prepared):
        pass


def test_data_that_were_damaged_and_made_again_are_mapped_anew() -> None:
    prepared = data.prepare("fashion-mnist-sample")
    right = load_split(prepared.folder, "train").labels.clone()
    path = prepared.folder / "train_labels.npy"
    with path.open("r+b") as stream:
        stream.seek(128)
        stream.write(bytes(8 * 100))
    assert not torch.equal(load_split(prepared.folder, "train").labels, right)
    data.prepare("fashion-mnist-sample")
    with unchanged(prepared):
        assert torch.equal(load_split(prepared.folder, "train").labels, right)


def test_a_relative_cache_becomes_absolute_for_workers_in_other_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FMGRID_CACHE", "here")
    assert data.prepare("fashion-mnist-sample").folder == tmp_path / "here/fashion-mnist-sample"


def test_two_processes_take_turns_and_only_the_first_decodes(
    cache: Path, sample_data: data.Prepared
) -> None:
    cache.mkdir()
    code = (
        "import functools\nfrom fmgrid.data import cache as data\n"
        "data.prepare('fashion-mnist-sample', inform=functools.partial(print, flush=True))"
    )
    with filelock.FileLock(cache / "fashion-mnist-sample.lock"):
        both = [
            subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        for process in both:
            assert "waiting" in process.stdout.readline()
    heard = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(text.count("trying") for text in heard) == [0, 1]
    assert bits(cache / "fashion-mnist-sample") == bits(sample_data.folder)


KILL_AT_EVERY_MOMENT = """
import os, pathlib, sys
from fmgrid.data import cache as data

base, start = pathlib.Path(sys.argv[1]), sys.argv[2]

def prepare_until(moment):
    seen = 0
    def count(event, arguments):
        nonlocal seen
        if any(isinstance(word, (str, os.PathLike)) and str(base) in str(word)
               for word in arguments):
            seen += 1
            if seen > moment:
                os._exit(9)
    sys.addaudithook(count)
    data.prepare("fashion-mnist-sample")
    os._exit(0)

for moment in range(1000):
    cache = base / ("cache" if start == "damaged" else str(moment))
    os.environ["FMGRID_CACHE"] = str(cache)
    if start == "damaged":
        if moment == 0:
            data.prepare("fashion-mnist-sample")
        (cache / "fashion-mnist-sample" / "test_inputs.npy").write_text("damage")
    child = os.fork()
    if child == 0:
        prepare_until(moment)
    finished = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    data.prepare("fashion-mnist-sample")
    left = {path.name for path in cache.iterdir()}
    assert left == {"fashion-mnist-sample", "fashion-mnist-sample.lock"}, (moment, left)
    if finished:
        print(moment)
        break
"""


@pytest.mark.parametrize("start", ["empty", "damaged"])
def test_after_a_kill_at_any_moment_the_next_call_succeeds(start: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILL_AT_EVERY_MOMENT, tmp_path, start],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20  # moments


# What is trained on


def labels_of(batches: Batches, count: int) -> list[list[int]]:
    return [labels.tolist() for _, labels in itertools.islice(batches, count)]


@pytest.fixture
def ten_images() -> Images:
    """Ten images that are told apart by their labels, and whose pixels say the same."""
    labels = torch.arange(10)
    return Images(labels.float().repeat(784, 1).T.contiguous(), labels)


def test_the_same_seed_gives_the_same_batches_and_another_seed_others(
    ten_images: Images,
) -> None:
    first, again, other = (
        labels_of(shuffled_batches(ten_images, 4, seed), 30) for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_the_order_does_not_depend_on_other_random_numbers_or_the_batch_size(
    ten_images: Images,
) -> None:
    torch.manual_seed(1)
    first = list(
        itertools.chain.from_iterable(labels_of(shuffled_batches(ten_images, 4, seed=0), 6))
    )
    torch.manual_seed(2)
    second = list(
        itertools.chain.from_iterable(labels_of(shuffled_batches(ten_images, 10, seed=0), 2))
    )
    assert first == second


def test_every_pass_is_a_new_permutation_that_ends_with_a_short_batch(
    ten_images: Images,
) -> None:
    batches = shuffled_batches(ten_images, 4, seed=0)
    passes = [labels_of(batches, 3) for _ in range(5)]
    for one in passes:
        assert [len(batch) for batch in one] == [4, 4, 2]
        assert sorted(itertools.chain.from_iterable(one)) == list(range(10))
    assert len({str(one) for one in passes}) == 5


@given(
    count=st.integers(1, 12),
    batch_size=st.integers(1, 30),
    portion=st.integers(1, 40),
    seed=st.integers(0, 5),
)
def test_portions_hold_the_same_images_whatever_the_batch_size(
    count: int, batch_size: int, portion: int, seed: int
) -> None:
    images = Images(torch.zeros(count, 1), torch.arange(count))
    passes = itertools.chain.from_iterable(
        labels_of(shuffled_batches(images, 1, seed), 4 * portion)
    )
    batches = shuffled_batches(images, batch_size, seed, portion=portion)
    for _ in range(3):
        sizes = [batch_size] * (portion // batch_size)
        sizes += [portion % batch_size] * (portion % batch_size > 0)
        found = labels_of(batches, len(sizes))
        assert [len(batch) for batch in found] == sizes
        expected = list(itertools.islice(passes, portion))
        assert list(itertools.chain.from_iterable(found)) == expected


def test_a_portion_of_all_images_is_a_pass(ten_images: Images) -> None:
    portions, passes = (
        shuffled_batches(ten_images, 4, seed=0, portion=10),
        shuffled_batches(ten_images, 4, 0),
    )
    assert labels_of(portions, 9) == labels_of(passes, 9)


def test_a_portion_of_many_passes_takes_the_memory_of_one(ten_images: Images) -> None:
    batches = shuffled_batches(ten_images, 4, seed=0, portion=2**31 - 1)
    assert [len(batch) for batch in labels_of(batches, 1000)] == [4] * 1000


def test_pixels_stay_with_their_labels(ten_images: Images) -> None:
    for pixels, labels in itertools.islice(shuffled_batches(ten_images, 3, seed=5), 20):
        assert pixels.shape == (len(labels), 784)
        assert torch.equal(pixels[:, 0].long(), labels)


def test_validation_on_the_test_images_leaves_no_others_to_test_on(
    real_data: data.Prepared,
) -> None:
    train, valid, test = load_images(real_data.folder, "test")
    assert (len(train.labels), len(valid.labels), test) == (60_000, 10_000, None)
    assert valid is load_split(real_data.folder, "test")


@pytest.mark.parametrize("count", [1, 200, 1999])
def test_held_out_images_are_the_last_training_images_and_no_others(
    count: int, sample_data: data.Prepared
) -> None:
    whole = load_split(sample_data.folder, "train")
    train, valid, test = load_images(sample_data.folder, count)
    assert len(valid.labels) == count
    assert torch.equal(torch.cat([train.inputs, valid.inputs]), whole.inputs)
    assert torch.equal(torch.cat([train.labels, valid.labels]), whole.labels)
    assert test is load_split(sample_data.folder, "test")


def test_images_held_out_of_the_sample_are_of_all_classes(
    sample_data: data.Prepared,
) -> None:
    valid = load_images(sample_data.folder, 200).valid
    counts = torch.bincount(valid.labels, minlength=10)
    assert counts.min() >= 12
    assert counts.max() <= 28


def test_a_held_out_image_is_never_in_a_batch(sample_data: data.Prepared) -> None:
    train, valid, _ = load_images(sample_data.folder, 500)
    batches = shuffled_batches(train, 100, seed=0)
    seen = {row.numpy().tobytes() for pixels, _ in itertools.islice(batches, 15) for row in pixels}
    assert len(seen) == 1500
    assert not seen & {row.numpy().tobytes() for row in valid.inputs}
