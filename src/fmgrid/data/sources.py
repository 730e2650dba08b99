"""The places that data sets come from: functions that find or download the published files.

Each is given an empty folder to work in, and returns the folder with the files.
"""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from fmgrid.errors import DataError
from fmgrid.system.disk import last_lines

_IN_PACKAGE = "usr/share/datasets/fashion-mnist"
DEBIAN_FOLDER = Path("/", _IN_PACKAGE)  # where Debian's dataset-fashion-mnist puts the files

_SILENCE_SECONDS = 20.0  # without a byte from the server, before a download is given up
_DOWNLOAD_SECONDS = 3600.0  # for EMNIST's 562 MB over a slow line


def find_sample(_: Path) -> Path:
    """Return the folder of the sample that comes with fmgrid."""
    return Path(__file__).parents[1] / "fashion_mnist_sample"


def find_package(_: Path) -> Path:
    """Return the folder of Debian's package."""
    if not DEBIAN_FOLDER.is_dir():
        raise DataError(f"not installed: no {DEBIAN_FOLDER}")
    return DEBIAN_FOLDER


def find_scikit_learn(_: Path) -> Path:
    """Return the folder of scikit-learn's own data sets, without importing it."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise DataError("not installed")
    return Path(spec.origin).parent / "datasets" / "data"


# A process of its own keeps torch out of this one, and can be stopped when it hangs. Of archives
# the file alone is downloaded: torchvision would unpack and unpickle it, verified by MD5 only.
_TORCHVISION = """
import socket, sys
socket.setdefaulttimeout(float(sys.argv[1]))
try:
    from torchvision import datasets
    source = getattr(datasets, sys.argv[2])
    if hasattr(source, "url"):
        from torchvision.datasets.utils import download_url
        download_url(source.url, ".", md5=getattr(source, "tgz_md5", None) or source.md5)
    else:
        source(".", download=True)
except Exception as error:
    sys.exit(" ".join(str(error).split()))
"""


def download_with_torchvision(name: str, workspace: Path) -> Path:
    """Let torchvision download the files of its data set of that name into *workspace*."""
    # -P: a random.py in the user's folder must not pass for Python's own.
    _run([sys.executable, "-P", "-c", _TORCHVISION, str(_SILENCE_SECONDS), name], workspace)
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
