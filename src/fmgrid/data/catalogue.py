"""The data sets that fmgrid knows by name: the facts and the sources of each.

Nothing is decoded unless its SHA-256 is the one given here.
"""

import gzip
import hashlib
import io
import math
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from fmgrid.errors import DataError
from fmgrid.system.disk import last_lines, read_regular

if TYPE_CHECKING:
    import numpy as np

_IN_PACKAGE = "usr/share/datasets/fashion-mnist"
DEBIAN_FOLDER = Path("/", _IN_PACKAGE)  # where Debian's dataset-fashion-mnist puts the files

_PORTION = 1000  # images that are verified at once: decoded, all of them would take 200 MB
_LARGEST = 100_000_000  # bytes of a published file, packed or not
_SILENCE_SECONDS = 20.0  # without a byte from the server, before a download is given up
_DOWNLOAD_SECONDS = 600.0  # for 30 MB over a slow line

Arrays: TypeAlias = Iterator[tuple[str, "np.ndarray[Any, Any]"]]  # by their names in the cache

# The files of the idx format by their published names without .gz, and the arrays in them.
FILES = {
    "train-images-idx3-ubyte": "train_inputs.npy",
    "train-labels-idx1-ubyte": "train_labels.npy",
    "t10k-images-idx3-ubyte": "test_inputs.npy",
    "t10k-labels-idx1-ubyte": "test_labels.npy",
}


@dataclass(frozen=True)
class DatasetInfo:
    """Facts of a data set that are known before any image is read."""

    description: str
    train_images: int
    test_images: int
    shape: tuple[int, ...]  # of an image: channels, rows, columns
    classes: tuple[str, ...]
    sha256: tuple[str, ...]  # of the published files, unpacked, in the order of FILES
    # By name, in the order of asking: functions that are given an empty folder to work in, and
    # return the folder with the published files.
    sources: Mapping[str, Callable[[Path], Path]]
    remedies: tuple[str, ...]  # for when no source has it
    has_choice: bool = True  # whether the user may name a folder with the files

    @property
    def inputs(self) -> int:
        """Numbers per image."""
        return math.prod(self.shape)


def read_arrays(folder: Path, sha256: Sequence[str]) -> Arrays:
    """Return the arrays of the published files in a folder, each decoded when it is asked for.

    *sha256* is that of each file, unpacked. Raises `DataError` with a line for each that is
    missing or wrong.
    """
    contents, problems = [], []
    for (name, array), expected in zip(FILES.items(), sha256, strict=True):
        try:
            contents.append((array, _read_verified(folder, name, expected)))
        except DataError as error:
            problems.append(f"{error}; expected SHA-256 {expected}")
    if problems:
        raise DataError(*problems)
    return ((array, _decode(content)) for array, content in contents)


def is_published(array: "np.ndarray[Any, Any]", shape: tuple[int, ...], sha256: str) -> bool:
    """Return whether an array holds the numbers of the published file with this checksum.

    *shape* is that of an image there, with one channel.
    """
    import numpy as np

    sizes = (len(array), *(() if array.ndim == 1 else shape[1:]))
    content = hashlib.sha256(bytes([0, 0, 8, len(sizes)]) + np.array(sizes, ">u4").tobytes())
    for start in range(0, len(array), _PORTION):
        portion = array[start : start + _PORTION]
        with np.errstate(all="ignore"):  # whatever it holds becomes bytes, which are then compared
            numbers = (portion if array.ndim == 1 else portion[:, 0] * 255 + 0.5).astype(np.uint8)
        decoded = _to_array(numbers)
        if decoded.dtype != array.dtype or not np.array_equal(decoded, portion):
            return False
        content.update(numbers.tobytes())
    return content.hexdigest() == sha256


def _decode(content: bytes) -> "np.ndarray[Any, Any]":
    """Return the numbers of an idx file."""
    import numpy as np

    sizes = np.frombuffer(content, ">u4", content[3], offset=4).tolist()
    return _to_array(np.frombuffer(content, np.uint8, offset=4 + 4 * len(sizes)).reshape(sizes))


def _to_array(numbers: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Return labels as int64 [n], or pixels as float32 [n, 1, rows, columns] from 0 to 1.

    The pixels are what torchvision's ToTensor makes of them.
    """
    import numpy as np

    if numbers.ndim == 1:
        return numbers.astype(np.int64)
    return numbers[:, np.newaxis] / np.float32(255)


def _read_verified(folder: Path, name: str, expected: str) -> bytes:
    """Read one file, gzipped or not, from *folder* or from torchvision's place within it."""
    paths = (
        parent / file
        for parent in (folder, folder / "FashionMNIST" / "raw")
        for file in (name, f"{name}.gz")
    )
    try:
        path = next(filter(Path.is_file, paths), None)
        if path is None:
            raise DataError(f"{name}: found neither with nor without .gz")
        content = read_regular(path, _LARGEST)
        if path.suffix == ".gz":
            with gzip.open(io.BytesIO(content)) as stream:
                content = stream.read(_LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{name}: cannot be read: {reason}") from error
    if len(content) > _LARGEST:
        raise DataError(f"{name}: unpacked, it has more than {_LARGEST:,} bytes")
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != expected:
        raise DataError(f"{path.relative_to(folder)}: unpacked, its SHA-256 is {sha256}")
    return content


def find_sample(_: Path) -> Path:
    """Return the folder of the sample that comes with fmgrid."""
    return Path(__file__).parents[1] / "fashion_mnist_sample"


def find_package(_: Path) -> Path:
    """Return the folder of Debian's package."""
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


def download_with_torchvision(workspace: Path) -> Path:
    """Let torchvision download the files into *workspace*."""
    # -P: a random.py in the user's folder must not pass for Python's own.
    _run([sys.executable, "-P", "-c", _TORCHVISION, str(_SILENCE_SECONDS)], workspace)
    return workspace


def download_with_apt(workspace: Path) -> Path:
    """Let apt-get download Debian's package into *workspace*, which takes no rights."""
    apt, dpkg = shutil.which("apt-get"), shutil.which("dpkg-deb")
    if apt is None or dpkg is None:
        raise DataError("this system has no apt-get or no dpkg-deb")
    _run([apt, "download", "dataset-fashion-mnist"], workspace)
    for package in workspace.glob("*.deb"):
        _run([dpkg, "-x", package.name, "unpacked"], workspace)
    return workspace / "unpacked" / _IN_PACKAGE


def _run(command: list[str], workspace: Path) -> None:
    """Run a downloader in silence. Raises `DataError` with the last line of its stderr."""
    # A file rather than a pipe: a grandchild that outlives the time limit would hold a pipe open.
    log = workspace / "stderr"
    with log.open("wb") as stderr:
        try:
            subprocess.run(  # noqa: S603 - all words of the commands are written above
                command,
                cwd=workspace,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                timeout=_DOWNLOAD_SECONDS,
                check=True,
            )
        except subprocess.TimeoutExpired:
            raise DataError(f"not done after {_DOWNLOAD_SECONDS:.0f} seconds") from None
        except subprocess.CalledProcessError as error:
            reason = [f"exit code {error.returncode}", *last_lines(log, 1)][-1].strip()
            raise DataError(reason) from None
        except OSError as error:
            raise DataError(f"cannot be started: {error}") from error


_CLOTHES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
DATASETS: Mapping[str, DatasetInfo] = {
    "fashion-mnist": DatasetInfo(
        "70,000 pictures of clothes in ten classes, 28 x 28 grey pixels each (Zalando, 2017)",
        train_images=60_000,
        test_images=10_000,
        shape=(1, 28, 28),
        classes=_CLOTHES,
        sha256=(
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
        sources={
            "Debian's package dataset-fashion-mnist": find_package,
            "torchvision's download": download_with_torchvision,
            "apt-get download dataset-fashion-mnist": download_with_apt,
        },
        remedies=(
            "install Debian's package: apt-get install dataset-fashion-mnist",
            "download the four published .gz files, and name their folder with --data-dir",
            'use the small sample that comes with fmgrid: dataset = "fashion-mnist-sample"',
        ),
    ),
    "fashion-mnist-sample": DatasetInfo(
        "2,500 of Fashion-MNIST's pictures, as many of every class; they come with fmgrid",
        train_images=2_000,
        test_images=500,
        shape=(1, 28, 28),
        classes=_CLOTHES,
        sha256=(
            "b8cc50832156ceba7732a6ff7f422c822596825f46cce5991562dc26d6fe83db",
            "d5af3921b716664086b7f83fe30ea0f99bff659e8d1be75d0a7b6bb2f0f8c006",
            "db04ac65a4bbab15b5fcb9974db363916e6ee4e45d7eb0e1409b1beca4827945",
            "028e32b4d45584c387315de1fdf3e66781e2f9a91701d5853aaeb9b9f90eefc4",
        ),
        sources={"fmgrid's own files": find_sample},
        remedies=("install fmgrid again",),
        has_choice=False,
    ),
}
