"""The blocks of a CNN: the sizes of their images and their work, without torch."""

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any, NamedTuple

from fmgrid.components.arguments import for_each
from fmgrid.data.formats import IMAGE_DIMENSIONS


class Block(NamedTuple):
    """A convolution with its pooling; sizes of images are (rows, columns)."""

    inputs: int  # channels
    outputs: int
    kernel: int
    stride: int
    padding: int
    pooling: int  # rows and columns that become one
    convolved: tuple[int, int]  # size behind the convolution
    size: tuple[int, int]  # size behind the pooling

    @property
    def weights(self) -> int:
        """Numbers of the convolution, without its bias."""
        return self.inputs * self.outputs * self.kernel**2

    @property
    def numbers(self) -> int:
        """Numbers that the convolution gives for one image."""
        return self.outputs * prod(self.convolved)

    @property
    def flops(self) -> int:
        """Operations of the convolution for one image, forwards."""
        return 2 * self.weights * prod(self.convolved)


def blocks_of(args: Mapping[str, Any], shape: tuple[int, ...]) -> Iterator[Block]:
    """Yield the blocks of a network with all of these arguments, for images of a shape.

    Raises ValueError, with the argument to blame as its first word, where nothing is left of the
    images.
    """
    if len(shape) != IMAGE_DIMENSIONS:
        needs = "needs images [channels, rows, columns], and the data have the shape"
        raise ValueError(f'network = "CNN" {needs} {shape}')
    inputs, *size = shape
    channels = args["channels"]
    columns = (for_each(args[name], len(channels)) for name in ("kernel_size", "stride", "pooling"))
    paddings = for_each(args["padding"], len(channels))
    rows = zip(channels, *columns, paddings, strict=True)
    for number, (outputs, kernel, stride, pooling, padding) in enumerate(rows, 1):
        border = kernel // 2 if padding == "same" else padding
        convolved = tuple((side + 2 * border - kernel) // stride + 1 for side in size)
        size = [side // pooling for side in convolved]
        if min(size) < 1:
            name = "pooling" if min(convolved) >= 1 else "kernel_size"
            raise ValueError(
                f"network_args.{name} leaves nothing of images with {shape[1]} x {shape[2]} pixels "
                f"in block {number} of {len(channels)}; write fewer channels, or a smaller {name}"
            )
        yield Block(
            inputs,
            outputs,
            kernel,
            stride,
            border,
            pooling,
            (convolved[0], convolved[1]),
            (size[0], size[1]),
        )
        inputs = outputs


def features_of(args: Mapping[str, Any], last: Block) -> int:
    """Return how many numbers the last block of a network gives to its linear layers."""
    rows, columns = (1, 1) if args["global_pooling"] != "none" else last.size
    return last.outputs * rows * columns
