"""Make `fmgrid/fashion_mnist_sample`: as many images of every class, from the real files.

Of each class every 30th training image and every 20th test image, in the published order:
spread evenly, so that the last images, which may be held out, are of all classes too.
`--check` writes nothing, and exits with 1 if the files that are there differ.
"""

import argparse
import gzip
import sys
from pathlib import Path

import numpy as np

import fmgrid
from fmgrid.data.cache import prepare
from fmgrid.errors import FmgridError

FOLDER = Path(fmgrid.__file__).parent / "fashion_mnist_sample"
EVERY = {"train": 30, "test": 20}
UPSTREAM_NAMES = {"train": "train", "test": "t10k"}


def make_files() -> dict[str, bytes]:
    """Return the unpacked idx files, by name."""
    real = prepare("fashion-mnist", inform=print).folder
    files = {}
    for split, every in EVERY.items():
        labels = np.load(real / f"{split}_labels.npy")
        chosen = np.sort(
            np.concatenate([np.flatnonzero(labels == label)[::every] for label in range(10)])
        )
        pixels = np.rint(np.load(real / f"{split}_inputs.npy", mmap_mode="r")[chosen] * 255)
        prefix = UPSTREAM_NAMES[split]
        files[f"{prefix}-images-idx3-ubyte"] = to_idx(pixels.reshape(-1, 28, 28))
        files[f"{prefix}-labels-idx1-ubyte"] = to_idx(labels[chosen])
    return files


def to_idx(array: np.ndarray) -> bytes:
    """Return *array* in the format of the MNIST files: type, shape, unsigned bytes."""
    shape = np.array(array.shape, ">u4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + shape + array.astype(np.uint8).tobytes()


def check(files: dict[str, bytes]) -> list[str]:
    """Return the names of the files that are missing or other than made."""
    return [
        name
        for name, content in files.items()
        if not (FOLDER / f"{name}.gz").is_file()
        or gzip.decompress((FOLDER / f"{name}.gz").read_bytes()) != content
    ]


def main() -> int:
    """Write or check the files; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    only_check = parser.parse_args().check
    try:
        files = make_files()
    except FmgridError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if not only_check:
        for name, content in files.items():
            # No time in the header, so that the same bytes come out every time.
            (FOLDER / f"{name}.gz").write_bytes(gzip.compress(content, 9, mtime=0))
    different = check(files)
    for name in different:
        print(f"{FOLDER / name}.gz: not what this script makes", file=sys.stderr)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
