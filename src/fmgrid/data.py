"""A data set on disk -> tensors, and seeded batches of them.

Nothing is trained on unless its SHA-256 is the one written here. The parent process calls
`prepare` once: it finds or fetches the four published files, checks them, and decodes them
into arrays in the user's cache. Workers then map those arrays, so that all of them share one
copy in memory. torch, numpy and the others are imported late: the parent never needs torch.
"""

import functools
import gzip
import hashlib
import io
import math
import os
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, TypeAlias

from fmgrid.errors import DataError, is_lack_of_memory
from fmgrid.experiment import TEST_IMAGES, TRAIN_IMAGES, subseed
from fmgrid.system.disk import move_file, open_regular, read_regular, sync, sync_folder
from fmgrid.system.locks import Lock
from fmgrid.system.paths import HomeError, expand_home

if TYPE_CHECKING:
    import numpy as np
    import torch

Split = Literal["train", "test"]

SPLITS: tuple[Split, ...] = ("train", "test")
PIXELS = 28 * 28  # per image, row by row from the top left
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

_IN_PACKAGE = "usr/share/datasets/fashion-mnist"
DEBIAN_FOLDER = Path("/", _IN_PACKAGE)  # where Debian's dataset-fashion-mnist puts the files

_ARRAY_HEADER = 128  # bytes in front of the numbers of a .npy file
_PACKED_SLACK = 1_000_000  # bytes by which a .gz file may exceed what is packed in it
_WAIT_SECONDS = 30.0  # for an owner of the cache of whom it can't be told whether it still lives
_SILENCE_SECONDS = 20.0  # without a byte from the server, before a download is given up
_DOWNLOAD_SECONDS = 600.0  # for 30 MB over a slow line


@dataclass(frozen=True)
class DataFile:
    """One of a data set's four files, as published and as decoded."""

    raw: str  # upstream's name, without .gz
    raw_sha256: str  # of the unpacked file
    array: str  # its name in the cache
    array_sha256: str  # of that file
    shape: tuple[int, ...]  # (images, PIXELS) of float32, or (images,) of int64

    @property
    def raw_bytes(self) -> int:
        """The size of the unpacked file: a byte for each number, after the header."""
        return math.prod(self.shape) + (8 if len(self.shape) == 1 else 16)

    @property
    def array_bytes(self) -> int:
        """The size of the file in the cache."""
        return math.prod(self.shape) * (8 if len(self.shape) == 1 else 4) + _ARRAY_HEADER


@dataclass(frozen=True)
class Dataset:
    """What a data set is, how to recognize it, and what helps when it cannot be found."""

    description: str
    files: tuple[DataFile, ...]
    remedies: tuple[str, ...]


@dataclass(frozen=True)
class Prepared:
    """A data set that is ready to be mapped."""

    dataset: str
    folder: Path  # with the decoded arrays; absolute
    source: str  # where the files came from, for people
    facts: "Facts"  # of the arrays when they were verified


class FileFacts(NamedTuple):
    """What changes when somebody writes to a file, or puts another one in its place."""

    inode: int
    size: int
    written: int  # nanoseconds since 1970
    changed: int  # the same, of its owner, its links and the like, too


Facts: TypeAlias = tuple[FileFacts | None, ...]  # of the arrays in order, None where one is missing


class Images(NamedTuple):
    """Images and their classes, in the order of the published files."""

    pixels: "torch.Tensor"  # float32 [n, 784], from 0 (background) to 1
    labels: "torch.Tensor"  # int64 [n], an index into CLASSES


class Published(NamedTuple):
    """The four files, verified."""

    contents: dict[str, bytes]  # unpacked, by upstream's name
    source: str  # where they came from, for people


class Parts(NamedTuple):
    """The images by their use."""

    train: Images
    valid: Images
    test: Images | None  # None where the test images are the validation images


def _files(dataset: str, *sha256: str) -> tuple[DataFile, ...]:
    """Describe the four files; *sha256* are, for each, as published and as decoded."""
    train, test = TRAIN_IMAGES[dataset], TEST_IMAGES[dataset]
    names = (
        ("train-images-idx3-ubyte", "train_pixels.npy", (train, PIXELS)),
        ("train-labels-idx1-ubyte", "train_labels.npy", (train,)),
        ("t10k-images-idx3-ubyte", "test_pixels.npy", (test, PIXELS)),
        ("t10k-labels-idx1-ubyte", "test_labels.npy", (test,)),
    )
    return tuple(
        DataFile(raw, raw_sha256, array, array_sha256, shape)
        for (raw, array, shape), raw_sha256, array_sha256 in zip(
            names, sha256[::2], sha256[1::2], strict=True
        )
    )


DATASETS: Mapping[str, Dataset] = {
    "fashion-mnist": Dataset(
        "70,000 pictures of clothes in ten classes, 28 x 28 grey pixels each (Zalando, 2017)",
        _files(
            "fashion-mnist",
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "f4fbe746fa18d5c5fd4c53fc5161c7118d51f7064e9eed634086e171d020a93b",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "812986e48858654e78526ccc20e9cb3e2f58591aee496309bd94e61984ccf630",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "41d5d640028c139074981d7519fa3aa0c39add2efb1a9c0ed2aae7e10f58297e",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            "abfd33a32c18efbf4c6f25b1e4c4270fe9fdcf1ce522b9454c279bcb141d8bd8",
        ),
        (
            "install Debian's package: apt-get install dataset-fashion-mnist",
            "download the four published .gz files, and name their folder with --data-dir",
            'use the small sample that comes with fmgrid: dataset = "fashion-mnist-sample"',
        ),
    ),
    "fashion-mnist-sample": Dataset(
        "2,500 of Fashion-MNIST's pictures, as many of every class; they come with fmgrid",
        _files(
            "fashion-mnist-sample",
            "b8cc50832156ceba7732a6ff7f422c822596825f46cce5991562dc26d6fe83db",
            "4c15f368a1bac064daa44772a0e4142d19523829979545d6bd9bda9d50e986e8",
            "d5af3921b716664086b7f83fe30ea0f99bff659e8d1be75d0a7b6bb2f0f8c006",
            "a16176c4fc6c8466652cbf880344aaa2fc51b4b448f650c8ca7e8677462726d1",
            "db04ac65a4bbab15b5fcb9974db363916e6ee4e45d7eb0e1409b1beca4827945",
            "6747dae91de9cc09b07ee23b2c677afd32abd419f0322b529d79f668f4434f17",
            "028e32b4d45584c387315de1fdf3e66781e2f9a91701d5853aaeb9b9f90eefc4",
            "d6ec7f59a783aab7b225e9466936099bdde64e3a8e4e1bbc354e2e13c292a909",
        ),
        ("install fmgrid again",),
    ),
}


def prepare(
    dataset: str,
    data_dir: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Prepared:
    """Return the verified, decoded data set; find, fetch and decode it if need be.

    *data_dir*, or else the environment variable FMGRID_DATA, is the user's choice of source:
    its files are right, or it is an error. Without one, the cache is asked first, then
    Debian's package, then the downloads. The sample comes from fmgrid itself, whatever the
    choice. *say* hears what a person who waits should know, a line at a time.

    The cache is rechecked on every call, and a damaged one is rebuilt. One process at a time
    does so; a kill at any moment leaves what the next call can mend.

    Raises DataError, with everything that was tried, or with the folder that cannot be used.
    """
    chosen = _read_chosen(dataset, data_dir)
    cache = _cache_folder()
    folder = cache / dataset
    source = chosen.source if chosen else f"the cache, {folder}"
    try:
        with _workspace(cache, dataset, say) as workspace:
            facts, damage = _examine(folder, dataset)
            if not damage:
                return Prepared(dataset, folder, source, facts)
            if folder.exists():
                say(f"{folder}: making it again, because of {'; '.join(damage)}")
            published = chosen or _fetch(dataset, workspace, say)
            facts = _rebuild(folder, dataset, published, workspace)
            return Prepared(dataset, folder, published.source, facts)
    except OSError as error:
        # A cache that one may only read is as good as any, if it is whole.
        facts, damage = _examine(folder, dataset)
        if not damage:
            return Prepared(dataset, folder, source, facts)
        is_there = os.path.isdir(folder)  # noqa: PTH112 - Path.is_dir raises where it may not look
        found = f" and holds {'; '.join(damage)}" if is_there else ""
        reason = f"{error.filename or cache}: {error.strerror}" if error.strerror else error
        raise DataError(
            f"{cache}: cannot serve as the cache: it cannot be written ({reason}){found}; "
            "set FMGRID_CACHE to a folder that can be written"
        ) from error


def check_unchanged(prepared: Prepared) -> Facts:
    """Return the facts of the arrays, which are what `prepare` verified, or verified anew.

    Raises DataError if they are damaged. To be called before they are mapped for a training,
    and again with `check_undisturbed` when that has ended.
    """
    facts = _look(prepared.folder, prepared.dataset)
    if facts != prepared.facts:
        # Somebody has touched them, as a backup does, or has written to them.
        _verify_anew(prepared.folder, prepared.dataset, facts)
    return facts


def check_undisturbed(prepared: Prepared, before: Facts) -> None:
    """Raise DataError if the arrays have changed since their facts were *before*."""
    now = _look(prepared.folder, prepared.dataset)
    # Without the inodes, which some network file systems make up as they go along: whatever
    # takes a file's place has another time of change.
    if [facts and facts[1:] for facts in now] != [facts and facts[1:] for facts in before]:
        raise DataError(
            f"{prepared.folder}: changed while a run was trained on it; "
            "the same command verifies it and trains the run again"
        )


def class_counts(folder: Path) -> dict[Split, dict[str, int]]:
    """Count the images per split and class in a prepared folder, without torch."""
    import numpy as np

    return {
        split: dict(
            zip(
                CLASSES,
                np.bincount(_map(folder / f"{split}_labels.npy"), minlength=10).tolist(),
                strict=True,
            )
        )
        for split in SPLITS
    }


@functools.cache
def load_split(folder: Path, split: Split) -> Images:
    """Map one split of a prepared folder: no copy, and at most once per process.

    The mapping is private: writing to the tensors would not reach the cache.
    Raises DataError if the files are gone.
    """
    import torch

    try:
        pixels, labels = (
            torch.from_numpy(_map(folder / f"{split}_{kind}.npy")) for kind in ("pixels", "labels")
        )
    except (OSError, ValueError) as error:
        if is_lack_of_memory(error):
            raise
        raise DataError(f"{folder}: {error}; `fmgrid data` makes the folder again") from error
    return Images(pixels, labels)


def _map(path: Path) -> "np.ndarray[Any, Any]":
    import numpy as np

    open_regular(path).close()  # numpy would wait for ever for a named pipe
    array: np.ndarray[Any, Any] = np.load(path, mmap_mode="c")
    return array


def load_images(folder: Path, validation: int | Literal["test"]) -> Parts:
    """Map a prepared folder, by use.

    With *validation* "test", the study's protocol, every epoch is scored on the test images
    and no others remain. With a number, so many images are held out: the last ones of the
    published training files, the same for every seed, so that seeds stay comparable.
    """
    train, test = load_split(folder, "train"), load_split(folder, "test")
    if validation == "test":
        return Parts(train, test, None)
    kept = len(train.labels) - validation
    return Parts(
        Images(train.pixels[:kept], train.labels[:kept]),
        Images(train.pixels[kept:], train.labels[kept:]),
        test,
    )


class Batches:
    """An endless iterator over shuffled batches of (pixels, labels).

    Every pass over the images is a new permutation. The order depends on *seed* and the
    number of images alone, not on what is trained before or beside it, so a resumed grid
    gives the same results as an uninterrupted one.

    The images come in portions, a pass each unless *portion* says how many; the last batch
    of a portion may be short. Where a pass ends within a portion, or within a batch of it,
    the next one goes on, so that whatever the batch size, a portion holds the same images
    in the same order.
    """

    def __init__(
        self, images: Images, batch_size: int, seed: int, portion: int | None = None
    ) -> None:
        import torch

        self.images_seen = 0  # handed out since the start, repeats included
        self._images = images
        self._batch_size = batch_size
        self._portion = portion or len(images.labels)
        self._generator = torch.Generator().manual_seed(subseed(seed, "batches"))
        self._order = torch.empty(0, dtype=torch.int64)  # of the images next, as far as it is drawn
        self._batches = self._split()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple["torch.Tensor", "torch.Tensor"]:
        index = next(self._batches)
        self.images_seen += index.numel()
        pixels, labels = self._images
        return pixels.index_select(0, index), labels.index_select(0, index)

    def _split(self) -> Iterator["torch.Tensor"]:
        """Yield the indices of each batch, portion after portion."""
        import torch

        # About a pass at a time, in whole batches: a portion may be too large for the memory.
        most = self._batch_size * max(1, len(self._images.labels) // self._batch_size)
        while True:
            left = self._portion
            while left:
                part = self._take(min(left, most))
                left -= part.numel()
                yield from torch.split(part, self._batch_size)

    def _take(self, count: int) -> "torch.Tensor":
        """Return the indices of the next *count* images."""
        import torch

        while self._order.numel() < count:
            drawn = torch.randperm(len(self._images.labels), generator=self._generator)
            self._order = torch.cat([self._order, drawn])
        taken, self._order = self._order[:count], self._order[count:]
        return taken


def _cache_folder() -> Path:
    """Return the cache's absolute path: workers may run in another folder."""
    import platformdirs

    remedy = "set FMGRID_CACHE to a folder that can be written"
    if chosen := os.environ.get("FMGRID_CACHE"):
        return _expanded("FMGRID_CACHE", chosen, remedy)
    try:
        usual = platformdirs.user_cache_dir("fmgrid")
    except (OSError, RuntimeError) as error:  # no home folder is known
        raise DataError(f"the usual cache folder is not known: {error}; {remedy}") from error
    return _expanded("the usual cache folder", usual, remedy)


def _expanded(origin: str, text: str, remedy: str) -> Path:
    """Return the absolute path that a variable means. Raises `DataError` if it means none."""
    try:
        return expand_home(text).absolute()
    except HomeError as error:
        raise DataError(f"{origin}, {text}: {error}; {remedy}") from error


@contextmanager
def _workspace(cache: Path, dataset: str, say: Callable[[str], None]) -> Iterator[Path]:
    """Give an empty folder in the cache, and with it the sole right to change the data set.

    A killed process leaves its workspace behind; the next one clears it away.
    """
    cache.mkdir(parents=True, exist_ok=True)
    lock = Lock(cache / f"{dataset}.lock")
    if not lock.acquire():
        owner = "" if lock.is_of_the_system else f"; {lock.owner}"
        say(f"{dataset}: waiting for another process that prepares it ({lock.path}{owner})")
        # The system's lock dies with its owner; another one may wait for ever to be released.
        while not lock.acquire(_WAIT_SECONDS):
            if not lock.is_of_the_system:
                raise DataError(
                    f"{dataset}: another process prepares it in {cache}: {lock.owner}, "
                    "or set FMGRID_CACHE to another folder"
                )
    workspace = cache / f"{dataset}.unfinished"
    try:
        if workspace.exists():
            shutil.rmtree(workspace)
        workspace.mkdir()
        yield workspace
    finally:
        shutil.rmtree(workspace, ignore_errors=True)
        lock.release()


def _examine(folder: Path, dataset: str) -> tuple[Facts, list[str]]:
    """Return the facts of the decoded arrays, and what is wrong with them: nothing, if whole."""
    facts = _look(folder, dataset)  # first, so that a later change shows
    problems = ((file.array, _array_problem(folder, file)) for file in DATASETS[dataset].files)
    return facts, [f"{name}: {problem}" for name, problem in problems if problem]


def _look(folder: Path, dataset: str) -> Facts:
    return tuple(_file_facts(folder / file.array) for file in DATASETS[dataset].files)


def _file_facts(path: Path) -> FileFacts | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return FileFacts(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@functools.cache  # hashing takes a tenth of a second, and nothing is hashed twice in a process
def _verify_anew(folder: Path, dataset: str, facts: Facts) -> None:
    """Raise DataError unless arrays with these facts are whole; let them be mapped anew."""
    load_split.cache_clear()
    now, damage = _examine(folder, dataset)
    if now != facts:
        damage.append("changed while it was verified")
    if damage:
        raise DataError(
            f"{folder}: changed while the grid ran: {'; '.join(damage)}; "
            "the same command makes it again and goes on"
        )


def _array_problem(folder: Path, file: DataFile) -> str:
    try:
        with open_regular(folder / file.array) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size != file.array_bytes:
                return f"damaged ({size:,} bytes instead of {file.array_bytes:,})"
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return f"unreadable ({error.strerror or error})"
    return "" if found == file.array_sha256 else f"damaged (its SHA-256 is {found})"


def _rebuild(folder: Path, dataset: str, published: Published, workspace: Path) -> Facts:
    """Decode the files into *folder*, array by array; return the facts of these."""
    folder.mkdir(exist_ok=True)
    for file in DATASETS[dataset].files:
        array = _decode(published.contents[file.raw], file)
        _write_array(array, workspace / file.array, folder)
    facts, damage = _examine(folder, dataset)
    if damage:
        raise DataError(f"{folder}: wrong although just written: {'; '.join(damage)}")
    return facts


def _decode(raw: bytes, file: DataFile) -> "np.ndarray[Any, Any]":
    """Return an idx file's numbers, the pixels as torchvision's ToTensor scales them."""
    import numpy as np

    if len(file.shape) == 1:  # after 8 bytes of header, where images have 16
        return np.frombuffer(raw, np.uint8, offset=8).astype(np.int64)
    return np.frombuffer(raw, np.uint8, offset=16).reshape(file.shape) / np.float32(255)


def _write_array(array: "np.ndarray[Any, Any]", beside: Path, folder: Path) -> None:
    """Write *array* to *beside*, then move it into *folder*: it appears whole or not at all."""
    # What np.save writes, spelled out: its padding changes with numpy, and so would the checksum.
    layout = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
    header = str(layout).ljust(117) + "\n"
    with beside.open("wb") as stream:
        stream.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
        stream.write(array.data)
        stream.flush()
        sync(stream.fileno())
    move_file(beside, folder / beside.name)
    sync_folder(folder)


def _read_chosen(dataset: str, data_dir: Path | None) -> Published | None:
    """Return what the user chose, if that was a choice: the sample has one source only."""
    if dataset == "fashion-mnist-sample":
        return None
    if data_dir is not None:
        choice, folder = "--data-dir", data_dir.absolute()
    elif text := os.environ.get("FMGRID_DATA"):
        choice = "FMGRID_DATA"
        folder = _expanded(choice, text, "name the folder with the four files")
    else:
        return None
    try:
        return Published(_read_raw(folder, dataset), f"{folder} ({choice})")
    except DataError as error:
        raise DataError(
            f"{folder}, chosen by {choice}, does not hold {dataset}:\n"
            f"{_indented(str(error).splitlines())}"
        ) from None


def _read_raw(folder: Path, dataset: str) -> dict[str, bytes]:
    """Return the four unpacked files by name; DataError has a line for each that is wrong."""
    contents, problems = {}, []
    for file in DATASETS[dataset].files:
        try:
            contents[file.raw] = _read_verified(folder, file)
        except DataError as error:
            problems.append(f"{error}; expected SHA-256 {file.raw_sha256}")
    if problems:
        raise DataError("\n".join(problems))
    return contents


def _read_verified(folder: Path, file: DataFile) -> bytes:
    """Read one file, gzipped or not, from *folder* or where torchvision puts it within."""
    places = (
        place / name
        for place in (folder, folder / "FashionMNIST" / "raw")
        for name in (file.raw, f"{file.raw}.gz")
    )
    try:
        path = next(filter(Path.is_file, places), None)
        if path is None:
            raise DataError(f"{file.raw}: found neither with nor without .gz")
        if path.suffix == ".gz":
            packed = read_regular(path, file.raw_bytes + _PACKED_SLACK)
            with gzip.open(io.BytesIO(packed)) as stream:
                content = stream.read(file.raw_bytes + 1)
        else:
            content = read_regular(path, file.raw_bytes)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{file.raw}: cannot be read: {reason}") from error
    if len(content) > file.raw_bytes:
        raise DataError(f"{file.raw}: unpacked, it has more than {file.raw_bytes:,} bytes")
    found = hashlib.sha256(content).hexdigest()
    if found != file.raw_sha256:
        raise DataError(f"{path.relative_to(folder)}: unpacked, its SHA-256 is {found}")
    return content


def _fetch(dataset: str, workspace: Path, say: Callable[[str], None]) -> Published:
    """Return the files of the first source that has them right."""
    failures = []
    for number, (name, find) in enumerate(_sources(dataset).items()):
        say(f"{dataset}: trying {name}")
        private = workspace / str(number)
        private.mkdir()
        try:
            return Published(_read_raw(find(private), dataset), name)
        except DataError as error:
            failures.append(f"{name}: {'; '.join(str(error).splitlines())}")
    raise DataError(
        f"{dataset}: not in the cache, {workspace.with_name(dataset)}, and no source has it:\n"
        f"{_indented(failures)}\n"
        f"What helps:\n{_indented(DATASETS[dataset].remedies)}"
    )


def _indented(lines: Iterable[str]) -> str:
    return "\n".join(f"  {line}" for line in lines)


def _sources(dataset: str) -> dict[str, Callable[[Path], Path]]:
    """Return the sources by name, in the order of asking: what is at hand, then downloads.

    Each is given an empty folder to work in, and returns the folder with the four files.
    """
    if dataset == "fashion-mnist-sample":
        return {"fmgrid's own files": _find_sample}
    return {
        "Debian's package dataset-fashion-mnist": _find_package,
        "torchvision's download": _download_with_torchvision,
        "apt-get download dataset-fashion-mnist": _download_with_apt,
    }


def _find_sample(_: Path) -> Path:
    return Path(str(resources.files("fmgrid"))) / "fashion_mnist_sample"


def _find_package(_: Path) -> Path:
    if not DEBIAN_FOLDER.is_dir():
        raise DataError(f"not installed: no {DEBIAN_FOLDER}")
    return DEBIAN_FOLDER


# A process of its own keeps torch out of this one, and can be stopped when it hangs.
_TORCHVISION = """
import socket, sys
socket.setdefaulttimeout(float(sys.argv[1]))
try:
    from torchvision.datasets import FashionMNIST
    FashionMNIST(".", download=True)
except Exception as error:
    sys.exit(" ".join(str(error).split()))
"""


def _download_with_torchvision(workspace: Path) -> Path:
    # -P: a random.py in the user's folder must not pass for Python's own.
    _run([sys.executable, "-P", "-c", _TORCHVISION, str(_SILENCE_SECONDS)], workspace)
    return workspace


def _download_with_apt(workspace: Path) -> Path:
    apt, dpkg = shutil.which("apt-get"), shutil.which("dpkg-deb")
    if apt is None or dpkg is None:
        raise DataError("this system has no apt-get or no dpkg-deb")
    _run([apt, "download", "dataset-fashion-mnist"], workspace)
    for package in workspace.glob("*.deb"):
        _run([dpkg, "-x", package.name, "unpacked"], workspace)
    return workspace / "unpacked" / _IN_PACKAGE


def _run(command: list[str], workspace: Path) -> None:
    """Run a downloader in silence; its last word on stderr is the reason of a DataError."""
    # A file rather than a pipe: a grandchild that outlives the time limit would hold a pipe open.
    with tempfile.TemporaryFile(dir=workspace) as words:
        try:
            code = subprocess.run(  # noqa: S603 - all words of the commands are written above
                command,
                cwd=workspace,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=words,
                timeout=_DOWNLOAD_SECONDS,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            raise DataError(f"not done after {_DOWNLOAD_SECONDS:.0f} seconds") from None
        except OSError as error:
            raise DataError(f"cannot be started: {error}") from error
        words.seek(0)
        lines = words.read().decode(errors="replace").split("\n")
    if code:
        reasons = [line.strip() for line in lines if line.strip()]
        raise DataError(reasons[-1] if reasons else f"{command[0]}: exit code {code}")
