"""Published files -> arrays: found at hand, downloaded or chosen by the user, always verified.

Nothing is decoded unless its SHA-256 is the one that the catalogue has.
"""

import gzip
import hashlib
import io
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from fmgrid.errors import DataError
from fmgrid.system.disk import read_regular

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
    "train-images-idx3-ubyte": "train_pixels.npy",
    "train-labels-idx1-ubyte": "train_labels.npy",
    "t10k-images-idx3-ubyte": "test_pixels.npy",
    "t10k-labels-idx1-ubyte": "test_labels.npy",
}


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

    *shape* is that of an image there.
    """
    import numpy as np

    sizes = (len(array), *(() if array.ndim == 1 else shape))
    content = hashlib.sha256(bytes([0, 0, 8, len(sizes)]) + np.array(sizes, ">u4").tobytes())
    for start in range(0, len(array), _PORTION):
        portion = array[start : start + _PORTION]
        with np.errstate(all="ignore"):  # whatever it holds becomes bytes, which are then compared
            numbers = (portion if array.ndim == 1 else portion * 255 + 0.5).astype(np.uint8)
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
    """Return labels as int64 [n], or pixels as float32 [n, pixels] from 0 to 1.

    The pixels are what torchvision's ToTensor makes of them.
    """
    import numpy as np

    if numbers.ndim == 1:
        return numbers.astype(np.int64)
    return numbers.reshape(len(numbers), -1) / np.float32(255)


def _read_verified(folder: Path, name: str, expected: str) -> bytes:
    """Read one file, gzipped or not, from *folder* or from torchvision's place within it."""
    places = (
        place / file
        for place in (folder, folder / "FashionMNIST" / "raw")
        for file in (name, f"{name}.gz")
    )
    try:
        path = next(filter(Path.is_file, places), None)
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
    return Path(str(resources.files("fmgrid"))) / "fashion_mnist_sample"


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
    with tempfile.TemporaryFile(dir=workspace) as stderr:
        try:
            code = subprocess.run(  # noqa: S603 - all words of the commands are written above
                command,
                cwd=workspace,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                timeout=_DOWNLOAD_SECONDS,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            raise DataError(f"not done after {_DOWNLOAD_SECONDS:.0f} seconds") from None
        except OSError as error:
            raise DataError(f"cannot be started: {error}") from error
        stderr.seek(0)
        lines = stderr.read().decode(errors="replace").split("\n")
    if code:
        reasons = [line.strip() for line in lines if line.strip()]
        raise DataError(reasons[-1] if reasons else f"{command[0]}: exit code {code}")
