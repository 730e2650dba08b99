"""The formats of published files: their contents -> arrays, each made when it is asked for.

Inputs become what torchvision's ToTensor makes of them: float32 [n, channels, rows, columns] from
0 to 1. Labels become int64 [n], an index into the data set's classes.
"""

import gzip
import io
import pickle
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np

Array: TypeAlias = "np.ndarray[Any, Any]"
Arrays: TypeAlias = Iterator[tuple[str, Array]]  # by their names in the cache
Decode: TypeAlias = Callable[[Mapping[str, bytes]], Arrays]  # contents by the files' names

IMAGE_DIMENSIONS = 3  # channels, rows, columns
# The arrays of a data set, in the order of the published files of the idx format.
ARRAYS = ("train_inputs.npy", "train_labels.npy", "test_inputs.npy", "test_labels.npy")


def decode_idx(contents: Mapping[str, bytes]) -> Arrays:
    """Decode four files of the idx format, some of them perhaps packed with gzip.

    The format is that of LeCun's MNIST: two zero bytes, a type (8: unsigned bytes), the number of
    dimensions, their sizes as big-endian int32, and the numbers.
    """
    for name, content in zip(ARRAYS, contents.values(), strict=True):
        yield name, _scaled(_read_idx(content))


def decode_emnist(split: str, contents: Mapping[str, bytes]) -> Arrays:
    """Decode one split of EMNIST's zip file, whose images are transposed and count letters from 1.

    Cohen et al. (2017), EMNIST: an extension of MNIST to handwritten letters, arXiv:1702.05373.
    """
    (packed,) = contents.values()
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        for name in ARRAYS:
            part, _, kind = name.removesuffix(".npy").partition("_")
            kind = "images-idx3" if kind == "inputs" else "labels-idx1"
            numbers = _read_idx(archive.read(f"gzip/emnist-{split}-{part}-{kind}-ubyte.gz"))
            numbers = numbers.swapaxes(1, 2) if numbers.ndim > 1 else numbers - (split == "letters")
            yield name, _scaled(numbers)


def decode_cifar(labels: str, contents: Mapping[str, bytes]) -> Arrays:
    """Decode the pickled batches of CIFAR-10 or CIFAR-100, with the labels of that name.

    Krizhevsky (2009), Learning multiple layers of features from tiny images. A batch holds uint8
    [n, 3072]: an image's red, then its green, then its blue, row by row.
    """
    import numpy as np

    for part in ("train", "test"):
        names = [name for name in contents if name.startswith("test") == (part == "test")]
        batches = [_Unpickler(io.BytesIO(contents[name])).load() for name in names]
        pixels = np.concatenate([batch[b"data"] for batch in batches])
        yield f"{part}_inputs.npy", _to_unit(pixels.reshape(-1, 3, 32, 32), 255)
        numbers = [batch[labels.encode()] for batch in batches]
        yield f"{part}_labels.npy", np.concatenate(numbers).astype(np.int64)


def decode_digits(train_images: int, contents: Mapping[str, bytes]) -> Arrays:
    """Decode scikit-learn's digits: a line of CSV for each, 64 numbers from 0 to 16 and the digit.

    The first *train_images* are for training.
    """
    import numpy as np

    (packed,) = contents.values()
    rows = np.loadtxt(io.BytesIO(gzip.decompress(packed)), delimiter=",", dtype=np.uint8)
    for part, chosen in (("train", rows[:train_images]), ("test", rows[train_images:])):
        yield f"{part}_inputs.npy", _to_unit(chosen[:, :-1].reshape(-1, 1, 8, 8), 16)
        yield f"{part}_labels.npy", chosen[:, -1].astype(np.int64)


def _read_idx(content: bytes) -> Array:
    import numpy as np

    if content.startswith(b"\x1f\x8b"):
        content = gzip.decompress(content)
    sizes = np.frombuffer(content, ">u4", content[3], offset=4).tolist()
    return np.frombuffer(content, np.uint8, offset=4 + 4 * len(sizes)).reshape(sizes)


def _scaled(numbers: Array) -> Array:
    """Return labels [n], or grey images [n, rows, columns], as they stand in the cache."""
    import numpy as np

    return numbers.astype(np.int64) if numbers.ndim == 1 else _to_unit(numbers[:, np.newaxis], 255)


def _to_unit(numbers: Array, most: int) -> Array:
    """Return numbers from 0 to *most* as float32 from 0 to 1, in one block of memory."""
    import numpy as np

    scaled: Array = np.ascontiguousarray(numbers) / np.float32(most)
    return scaled


class _Unpickler(pickle.Unpickler):
    """Reads dictionaries, lists, numbers, text and arrays of numpy, and runs no other code.

    Python 2 wrote the files, and its text comes as bytes.
    """

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream, encoding="bytes")

    def find_class(self, module: str, name: str) -> Any:
        """Return one of the three that an array is made with."""
        import numpy as np

        match module, name:
            case "numpy.core.multiarray", "_reconstruct":
                return lambda _, shape, code: np.ndarray(shape, code)
            case "numpy", "ndarray" | "dtype":
                return getattr(np, name)
        raise pickle.UnpicklingError(f"{module}.{name} is no part of an array")
