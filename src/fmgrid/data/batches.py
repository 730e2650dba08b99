"""Arrays in the cache -> tensors, and seeded batches of them."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from fmgrid.data.formats import IMAGE_DIMENSIONS
from fmgrid.errors import DataError, is_lack_of_memory
from fmgrid.experiment import subseed
from fmgrid.system.disk import open_regular

if TYPE_CHECKING:
    import numpy as np
    import torch

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")  # that every data set has
# How the images are chosen that are scored after every epoch: a number or a share is held out of
# the training images, "valid" are a third set that the data have.
Validation: TypeAlias = int | float | Literal["valid", "test"]

_PORTION = 1000  # images that are looked at at once
# Of a mean: a deviation below it is the rounding of float32, and the number is a constant.
_SMALLEST_DEVIATION = 1e-7


class Scale(NamedTuple):
    """What standardizes inputs, for each channel or feature."""

    mean: "torch.Tensor"
    deviation: "torch.Tensor"  # 1 for a constant


@dataclass(frozen=True, eq=False)
class Images:
    """Images, or other inputs, and their classes, in the order of the published files."""

    inputs: "torch.Tensor"  # [n, *shape]; float32 from 0 (background) to 1 where they are images
    labels: "torch.Tensor"  # int64 [n], an index into the data set's classes
    rows: "torch.Tensor | None" = None  # int64 [m]: the images that count; None for all
    scale: Scale | None = None

    def __len__(self) -> int:
        return len(self.labels if self.rows is None else self.rows)

    def select(self, index: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
        """Return a batch as tensors of its own: images by their place among those that count."""
        if self.rows is not None:
            index = self.rows.index_select(0, index)
        inputs = self.inputs.index_select(0, index)
        if self.scale is not None:
            # 11 microseconds for 64 of Fashion-MNIST; a scaled copy of all takes 188 MB a worker.
            inputs.sub_(self.scale.mean).div_(self.scale.deviation)
        return inputs, self.labels.index_select(0, index)

    def in_order(self, size: int) -> "Iterator[tuple[torch.Tensor, torch.Tensor]]":
        """Yield all images once, *size* at a time."""
        import torch

        for start in range(0, len(self), size):
            stop = min(start + size, len(self))
            if self.rows is None and self.scale is None:
                yield self.inputs[start:stop], self.labels[start:stop]
            else:
                yield self.select(torch.arange(start, stop))


class Parts(NamedTuple):
    """The images by their use."""

    train: Images
    valid: Images
    test: Images | None  # None where the test images are the validation images


def class_counts(folder: Path, classes: Sequence[str]) -> dict[Split, dict[str, int]]:
    """Count the images per split and class in a prepared folder, without torch."""
    import numpy as np

    counts = {}
    third: tuple[Split, ...] = ("valid",) if (folder / "valid_labels.npy").exists() else ()
    for split in (*SPLITS, *third):
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


def load_images(folder: Path, validation: Validation, *, standardize: bool = False) -> Parts:
    """Map a prepared folder, by use.

    With *validation* "test", the study's protocol, every epoch is scored on the test images
    and no others remain. With "valid", on the third set that the data have. With a number, so many
    images are held out: the last ones of the published training files. With a share, so much of
    each class is held out, chosen by chance. Both are the same for every seed, so that seeds stay
    comparable. *standardize* scales all parts by the training images that remain.
    """
    train, test = load_split(folder, "train"), load_split(folder, "test")
    if validation == "test":
        parts = Parts(train, test, None)
    elif validation == "valid":
        parts = Parts(train, load_split(folder, "valid"), test)
    elif isinstance(validation, int):
        count = len(train) - validation
        held_out = Images(train.inputs[count:], train.labels[count:])
        parts = Parts(Images(train.inputs[:count], train.labels[:count]), held_out, test)
    else:
        kept_rows, held_out_rows = draw_rows(train, validation)
        parts = Parts(replace(train, rows=kept_rows), replace(train, rows=held_out_rows), test)
    if not standardize:
        return parts
    scale = _measure_scale(folder, validation)
    return Parts(
        replace(parts.train, scale=scale),
        replace(parts.valid, scale=scale),
        parts.test and replace(parts.test, scale=scale),
    )


def count_held_out(validation: float, train_images: int) -> int:
    """Return how many of the training images a number or a share holds out."""
    return validation if isinstance(validation, int) else round(validation * train_images)


@functools.cache
def draw_rows(images: Images, share: float) -> "tuple[torch.Tensor, torch.Tensor]":
    """Return the rows of the images that stay, and of those held out, in order.

    Each class gives the same share of its images, to within one. A smaller share is a part of a
    larger one.
    """
    import torch

    labels = images.labels
    generator = torch.Generator().manual_seed(subseed(0, "held-out images"))
    drawn = torch.randperm(len(labels), generator=generator)
    by_class = drawn[torch.argsort(labels[drawn], stable=True)]
    sizes = torch.bincount(labels)
    # The place of an image in its class, from 0 for the first drawn to 1 for the last one
    ranks = torch.arange(len(labels)) - (sizes.cumsum(0) - sizes)[labels[by_class]]
    places = (ranks + 0.5) / sizes[labels[by_class]].double()
    is_held_out = torch.zeros(len(labels), dtype=torch.bool)
    chosen = torch.argsort(places, stable=True)[: count_held_out(share, len(labels))]
    is_held_out[by_class[chosen]] = True
    return torch.nonzero(~is_held_out).flatten(), torch.nonzero(is_held_out).flatten()


@functools.cache  # once per process, for it reads all training images twice
def _measure_scale(folder: Path, validation: Validation) -> Scale:
    """Measure the mean and the deviation of the training images, those held out aside.

    For images it is that of each channel, for tables and sequences that of each feature.
    """
    import torch

    train = load_images(folder, validation).train
    dimensions = train.inputs.ndim
    kept = 1 if dimensions > IMAGE_DIMENSIONS else dimensions - 1
    others = [dimension for dimension in range(dimensions) if dimension != kept]
    numbers = len(train) * train.inputs[0].numel() // train.inputs.shape[kept]

    def average(center: torch.Tensor | None = None) -> torch.Tensor:
        """Return the mean, or that of the squared distances from *center*, in double precision."""
        total = torch.zeros(1, dtype=torch.float64)
        for inputs, _ in train.in_order(_PORTION):
            values = inputs.to(torch.float64, copy=True)
            if center is not None:
                values.sub_(center).square_()  # in place, which halves the time
            total = total + values.sum(others, keepdim=True)
        return total / numbers

    mean = average()
    # About the mean, which may be much larger
    deviation = average(mean).sqrt()
    is_constant = deviation <= mean.abs() * _SMALLEST_DEVIATION
    return Scale(mean.float(), deviation.masked_fill(is_constant, 1.0).float())


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

    count = len(images)
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
                yield images.select(index)
            order = order[size:]
