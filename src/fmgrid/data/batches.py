"""Arrays in the cache -> tensors, and seeded batches of them."""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from fmgrid.errors import DataError, is_lack_of_memory
from fmgrid.experiment import subseed
from fmgrid.system.disk import open_regular

if TYPE_CHECKING:
    import numpy as np
    import torch

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")


class Images(NamedTuple):
    """Images, or other inputs, and their classes, in the order of the published files."""

    inputs: "torch.Tensor"  # [n, *shape]; float32 from 0 (background) to 1 where they are images
    labels: "torch.Tensor"  # int64 [n], an index into the data set's classes


class Parts(NamedTuple):
    """The images by their use."""

    train: Images
    valid: Images
    test: Images | None  # None where the test images are the validation images


def class_counts(folder: Path, classes: Sequence[str]) -> dict[Split, dict[str, int]]:
    """Count the images per split and class in a prepared folder, without torch."""
    import numpy as np

    counts = {}
    for split in SPLITS:
        labels = map_array(folder / f"{split}_labels.npy")
        numbers = np.bincount(labels, minlength=len(classes)).tolist()
        counts[split] = dict(zip(classes, numbers, strict=True))
    return counts


@functools.cache
def load_split(folder: Path, split: Split) -> Images:
    """Map one split of a prepared folder: no copy, and at most once per process.

    The mapping is private: writing to the tensors would not reach the cache.
    Raises DataError if the files are gone.
    """
    import torch

    try:
        inputs, labels = (
            torch.from_numpy(map_array(folder / f"{split}_{kind}.npy"))
            for kind in ("inputs", "labels")
        )
    except (OSError, ValueError) as error:
        if is_lack_of_memory(error):
            raise
        raise DataError(f"{folder}: {error}; `fmgrid data` makes the folder again") from error
    return Images(inputs, labels)


def map_array(path: Path) -> "np.ndarray[Any, Any]":
    """Map the array of a file, privately: writing to it would not reach the file."""
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
    train, test = (load_split(folder, split) for split in SPLITS)
    if validation == "test":
        return Parts(train, test, None)
    train_images = len(train.labels) - validation
    held_out = Images(train.inputs[train_images:], train.labels[train_images:])
    return Parts(Images(train.inputs[:train_images], train.labels[:train_images]), held_out, test)


def shuffled_batches(
    images: Images, batch_size: int, seed: int, portion: int | None = None
) -> Iterator[tuple["torch.Tensor", "torch.Tensor"]]:
    """Yield shuffled batches of (inputs, labels) without end.

    Every pass over the images is a new permutation. The order depends on *seed* and the
    number of images alone, not on what is trained before or beside it, so a resumed grid
    gives the same results as an uninterrupted one.

    The images come in portions, a pass each unless *portion* says how many; the last batch
    of a portion may be short. Where a pass ends within a portion, or within a batch of it,
    the next one goes on, so that whatever the batch size, a portion holds the same images
    in the same order.
    """
    import torch

    count = len(images.labels)
    # About a pass at a time, in whole batches: a portion may be too large for the memory.
    max_size = batch_size * max(1, count // batch_size)
    generator = torch.Generator().manual_seed(subseed(seed, "batches"))
    order = torch.empty(0, dtype=torch.int64)  # of the next images, as far as it is drawn
    while True:
        images_left = portion or count
        while images_left:
            size = min(images_left, max_size)
            images_left -= size
            while order.numel() < size:
                order = torch.cat([order, torch.randperm(count, generator=generator)])
            for index in torch.split(order[:size], batch_size):
                yield images.inputs.index_select(0, index), images.labels.index_select(0, index)
            order = order[size:]
