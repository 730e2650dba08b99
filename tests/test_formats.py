"""The named data sets: published formats are read as torchvision and scikit-learn read them.

The files are made here in exactly these formats, small, with their checksums in a proper entry of
the catalogue. The digits are the real ones.
"""

import functools
import gzip
import hashlib
import http.server
import io
import pickle
import struct
import tarfile
import threading
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numbers
from sklearn.datasets import load_digits

from fmgrid.data import cache as data
from fmgrid.data.batches import class_counts, load_split
from fmgrid.data.catalogue import DATASETS, PublishedDataset
from fmgrid.data.files import Archive
from fmgrid.data.formats import decode_idx
from fmgrid.errors import DataError

IDX = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
RANDOM = np.random.default_rng(0)
TRAIN, TEST = 30, 20  # images
Publish = Callable[..., PublishedDataset]


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FMGRID_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FMGRID_DATA", raising=False)


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Return a function that gives a data set these published files, as if they were its own."""

    def publish(name: str, contents: Mapping[str, bytes], archive: bytes = b"") -> PublishedDataset:
        info = DATASETS[name]
        assert tuple(contents) == tuple(info.files.sha256)
        files = replace(info.files, sha256={file: digest(contents[file]) for file in contents})
        if files.archive:
            files = replace(files, archive=Archive(files.archive.name, digest(archive)))
        entry = replace(info, files=files)
        monkeypatch.setitem(DATASETS, name, entry)  # type: ignore[arg-type]
        return entry

    return publish


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def to_idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def make_idx(classes: int = 10, first: int = 0) -> list[bytes]:
    """The images and labels of both parts, in the order of IDX."""
    arrays = []
    for count in (TRAIN, TEST):
        arrays += [
            RANDOM.integers(0, 256, (count, 28, 28)),
            RANDOM.integers(first, first + classes, count),
        ]
    return [to_idx(array) for array in arrays]


def python_2(batch: np.ndarray, labels: list[int], key: str) -> bytes:
    """A batch as Python 2 pickled it, by protocol 2 of cPickle and numpy of its time."""

    def text(word: str) -> bytes:
        return b"U" + bytes([len(word)]) + word.encode()

    raw, rows = batch.tobytes(), struct.pack("<H", len(batch))
    return (
        b"\x80\x02}("
        + text("data")
        + b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        + b"(K\x01M" + rows + b"M\x00\x0c\x86"
        + b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNN"
        + b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        + b"\x89T" + struct.pack("<I", len(raw)) + raw + b"tb"
        + text(key)
        + b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
        + text("batch_label") + text("training batch 1 of 5")
        + b"u."
    )  # fmt: skip


def make_cifar(name: str) -> dict[str, bytes]:
    key, classes = {"cifar10": ("labels", 10), "cifar100": ("fine_labels", 100)}[name]
    return {
        file: python_2(
            RANDOM.integers(0, 256, (TEST, 3072), dtype=np.uint8),
            RANDOM.integers(0, classes, TEST).tolist(),
            key,
        )
        for file in DATASETS[name].files.sha256
    }


def to_tar(contents: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def write(folder: Path, contents: Mapping[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


def same_as(theirs: Any, folder: Path, split: Any) -> bool:
    """Whether a data set of torchvision hands out the same tensors and labels."""
    ours = load_split(folder, split)
    pairs = [theirs[index] for index in range(len(theirs))]
    return torch.equal(ours.inputs, torch.stack([image for image, _ in pairs])) and (
        ours.labels.tolist() == [label for _, label in pairs]
    )


@pytest.mark.parametrize(("name", "kind"), [("mnist", "MNIST"), ("kmnist", "KMNIST")])
@pytest.mark.parametrize("is_packed", [False, True])
def test_files_of_the_idx_format_are_read_as_torchvision_reads_them(
    name: str, kind: str, is_packed: bool, publish: Publish, tmp_path: Path
) -> None:
    files = dict(zip([f"{part}-ubyte" for part in IDX], make_idx(), strict=True))
    packed = {f"{file}.gz": gzip.compress(content, mtime=0) for file, content in files.items()}
    publish(name, packed if name == "kmnist" else files)
    raw = write(tmp_path / kind / "raw", {**files, **packed})
    for file in files if is_packed or name == "kmnist" else packed:
        (raw / file).unlink()

    folder = data.prepare(name, tmp_path).folder

    write(raw, files)  # torchvision wants them unpacked
    for split in ("train", "test"):
        theirs = getattr(torchvision.datasets, kind)(
            tmp_path, train=split == "train", transform=torchvision.transforms.ToTensor()
        )
        assert same_as(theirs, folder, split)


def test_letters_of_emnist_stand_upright_and_count_from_0(publish: Publish, tmp_path: Path) -> None:
    names = [
        f"emnist-letters-{part}-ubyte"
        for part in (
            "train-images-idx3",
            "train-labels-idx1",
            "test-images-idx3",
            "test-labels-idx1",
        )
    ]
    files = dict(zip(names, make_idx(classes=26, first=1), strict=True))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("gzip/emnist-digits-mapping.txt", "0 48\n")
        for name, content in files.items():
            archive.writestr(f"gzip/{name}.gz", gzip.compress(content))
    publish("emnist-letters", {"gzip.zip": stream.getvalue()})
    raw = write(tmp_path / "EMNIST" / "raw", {"gzip.zip": stream.getvalue()})

    folder = data.prepare("emnist-letters", tmp_path).folder

    write(raw, files)
    for split in ("train", "test"):
        theirs = torchvision.datasets.EMNIST(tmp_path, "letters", train=split == "train")
        ours = load_split(folder, split)
        assert torch.equal(ours.inputs[:, 0], theirs.data.transpose(1, 2) / 255)
        assert torch.equal(ours.labels, theirs.targets - 1)
        classes = [DATASETS["emnist-letters"].classes[label] for label in ours.labels]
        assert classes == [theirs.classes[label] for label in theirs.targets]


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_pickles_of_cifar_are_read_as_torchvision_reads_them_in_a_folder_or_an_archive(
    name: str, publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents, place = make_cifar(name), DATASETS[name].files.place
    archive = to_tar({f"{place}/{file}": content for file, content in contents.items()})
    entry = publish(name, contents, archive)
    write(tmp_path / "archive", {entry.files.published[0]: archive})
    unpacked = write(tmp_path / "folder" / place, contents)

    folder = data.prepare(name, tmp_path / "archive").folder
    monkeypatch.setenv("FMGRID_CACHE", str(tmp_path / "second cache"))
    second_folder = data.prepare(name, unpacked).folder

    for array in data.ARRAYS:
        assert (folder / array).read_bytes() == (second_folder / array).read_bytes()
    kind: Any = getattr(torchvision.datasets, name.upper())
    meta = pickle.dumps({kind.meta["key"]: list(entry.classes)}, protocol=2)
    write(unpacked, {kind.meta["filename"]: meta})
    monkeypatch.setattr(kind, "_check_integrity", lambda _: True)  # by checksums of its own
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": None})
    for split in ("train", "test"):
        theirs = kind(
            tmp_path / "folder",
            train=split == "train",
            transform=torchvision.transforms.ToTensor(),
        )
        assert same_as(theirs, folder, split)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_of_an_archive_torchvision_downloads_the_file_and_reads_nothing(
    publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents, place = make_cifar("cifar100"), DATASETS["cifar100"].files.place
    archive = to_tar({f"{place}/{file}": content for file, content in contents.items()})
    (file,) = publish("cifar100", contents, archive).files.published
    handler = functools.partial(Quiet, directory=write(tmp_path / "served", {file: archive}))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        # Python imports a module of this name as it starts.
        (tmp_path / "sitecustomize.py").write_text(
            "from torchvision.datasets import CIFAR100\n"
            f"CIFAR100.url = 'http://127.0.0.1:{server.server_port}/{file}'\n"
            f"CIFAR100.tgz_md5 = '{hashlib.md5(archive).hexdigest()}'\n"  # noqa: S324
            "CIFAR100.__init__ = None  # it would read the archive\n"
        )
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        try:
            prepared = data.prepare("cifar100")
        finally:
            server.shutdown()
            thread.join()
    assert prepared.source == "torchvision's download"
    assert len(load_split(prepared.folder, "test").labels) == TEST


class Command:
    """What becomes a command of the system's when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


def test_nothing_is_unpickled_that_was_not_verified_and_no_other_code_runs_then(
    publish: Publish, tmp_path: Path
) -> None:
    target = tmp_path / "it ran"
    contents = make_cifar("cifar100")
    hostile = contents | {"test": pickle.dumps(Command(target), protocol=2)}
    publish("cifar100", contents)
    with pytest.raises(DataError, match=r"test: its SHA-256 is [0-9a-f]+; expected SHA-256"):
        data.prepare("cifar100", write(tmp_path / "chosen", hostile))

    publish("cifar100", hostile)
    with pytest.raises(pickle.UnpicklingError, match=r"getattr is no part of an array"):
        data.prepare("cifar100", tmp_path / "chosen")
    assert not target.exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda archive: archive[:-500],
        lambda archive: archive[:100] + bytes([archive[100] ^ 1]) + archive[101:],
        lambda archive: archive + b"more",
        lambda _: b"<!DOCTYPE html>",
        lambda _: b"",
        lambda _: to_tar({"../../escape": b"", "/escape": b""}),
    ],
    ids=["truncated", "a bit", "longer", "a web page", "empty", "names that lead out of it"],
)
def test_a_damaged_archive_is_named_with_both_checksums_and_no_reader_opens_it(
    damage: Callable[[bytes], bytes],
    publish: Publish,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    contents, place = make_cifar("cifar100"), DATASETS["cifar100"].files.place
    archive = to_tar({f"{place}/{file}": content for file, content in contents.items()})
    publish("cifar100", contents, archive)
    damaged = damage(archive)
    write(tmp_path, {"cifar-100-python.tar.gz": damaged})
    monkeypatch.delattr(tarfile, "open")
    with pytest.raises(DataError) as caught:
        data.prepare("cifar100", tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}, chosen by --data-dir, does not hold cifar100:\n"
        f"  cifar-100-python.tar.gz: its SHA-256 is {digest(damaged)}; "
        f"expected SHA-256 {digest(archive)}"
    )
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("names", [(), ("train",)])
def test_files_that_are_missing_are_named(
    names: tuple[str, ...], publish: Publish, tmp_path: Path
) -> None:
    contents = make_cifar("cifar100")
    publish("cifar100", contents)
    write(tmp_path, {name: contents[name] for name in names})
    missing = "test" if names else "cifar-100-python.tar.gz"
    with pytest.raises(DataError, match=rf"hold cifar100:\n  {missing}: .*; expected SHA-256 \w+$"):
        data.prepare("cifar100", tmp_path)


def test_the_digits_are_scikit_learns_and_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FMGRID_DATA", "/nonesuch")  # they come from scikit-learn in any case
    prepared = data.prepare("digits")
    theirs = load_digits()
    train, test = (load_split(prepared.folder, split) for split in ("train", "test"))
    assert prepared.source == "scikit-learn's own files"
    assert train.inputs.shape == (1500, 1, 8, 8)
    assert test.inputs.shape == (297, 1, 8, 8)
    inputs = torch.cat([train.inputs, test.inputs])[:, 0]
    assert torch.equal(inputs, torch.tensor(theirs.images / 16, dtype=torch.float32))
    assert torch.cat([train.labels, test.labels]).tolist() == theirs.target.tolist()
    counts = class_counts(prepared.folder, DATASETS["digits"].classes)
    assert set(counts["train"]) == set("0123456789")
    assert min(counts["train"].values()) > 140


@given(
    numbers.arrays(np.uint8, st.tuples(*[st.integers(1, 5)] * 3)),
    numbers.arrays(np.uint8, st.integers(1, 5)),
    st.booleans(),
)
def test_any_numbers_come_back_from_the_idx_format(
    images: np.ndarray, labels: np.ndarray, is_packed: bool
) -> None:
    contents = [to_idx(images), to_idx(labels)] * 2
    pack: Callable[[bytes], bytes] = gzip.compress if is_packed else bytes
    arrays = dict(decode_idx({str(i): pack(content) for i, content in enumerate(contents)}))
    assert tuple(arrays) == data.ARRAYS
    for part in ("train", "test"):
        inputs = arrays[f"{part}_inputs.npy"]
        assert inputs.shape == (len(images), 1, *images.shape[1:])
        assert (np.rint(inputs * 255) == images[:, np.newaxis]).all()
        assert arrays[f"{part}_labels.npy"].tolist() == labels.tolist()


@pytest.mark.parametrize("name", DATASETS)
def test_the_facts_of_every_data_set_are_whole(name: str) -> None:
    info = DATASETS[name]
    assert len(set(info.classes)) == len(info.classes) > 1
    assert len(info.shape) == 3
    assert info.sources
    assert info.remedies
    assert len(info.description) < 80
    assert all(len(sha256) == 64 for sha256 in info.files.sha256.values())
    if kind := getattr(torchvision.datasets, name.upper().replace("-", ""), None):
        assert len(kind.classes if hasattr(kind, "classes") else info.classes) == len(info.classes)
