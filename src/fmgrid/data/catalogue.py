"""The data sets that fmgrid knows by name: the facts of each, and where it can be had."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fmgrid.data import sources


@dataclass(frozen=True)
class DatasetInfo:
    """Facts of a data set that are known before any image is read."""

    description: str
    train_images: int
    test_images: int
    shape: tuple[int, ...]  # of an image: rows, columns
    classes: tuple[str, ...]
    sha256: tuple[str, ...]  # of the published files, unpacked, in the order of `sources.FILES`
    # By name, in the order of asking: functions that are given an empty folder to work in, and
    # return the folder with the published files.
    sources: Mapping[str, Callable[[Path], Path]]
    remedies: tuple[str, ...]  # for when no source has it
    has_choice: bool = True  # whether the user may name a folder with the files

    @property
    def pixels(self) -> int:
        """Numbers per image."""
        return math.prod(self.shape)


_CLOTHES = (
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

DATASETS: Mapping[str, DatasetInfo] = {
    "fashion-mnist": DatasetInfo(
        "70,000 pictures of clothes in ten classes, 28 x 28 grey pixels each (Zalando, 2017)",
        train_images=60_000,
        test_images=10_000,
        shape=(28, 28),
        classes=_CLOTHES,
        sha256=(
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
        sources={
            "Debian's package dataset-fashion-mnist": sources.find_package,
            "torchvision's download": sources.download_with_torchvision,
            "apt-get download dataset-fashion-mnist": sources.download_with_apt,
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
        shape=(28, 28),
        classes=_CLOTHES,
        sha256=(
            "b8cc50832156ceba7732a6ff7f422c822596825f46cce5991562dc26d6fe83db",
            "d5af3921b716664086b7f83fe30ea0f99bff659e8d1be75d0a7b6bb2f0f8c006",
            "db04ac65a4bbab15b5fcb9974db363916e6ee4e45d7eb0e1409b1beca4827945",
            "028e32b4d45584c387315de1fdf3e66781e2f9a91701d5853aaeb9b9f90eefc4",
        ),
        sources={"fmgrid's own files": sources.find_sample},
        remedies=("install fmgrid again",),
        has_choice=False,
    ),
}
