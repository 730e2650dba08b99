"""The data sets that fmgrid knows by name: facts, published files and sources."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fmgrid.data import formats, sources
from fmgrid.data.files import Archive, Files, read_verified


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """Facts of a data set that are known before any image is read."""

    description: str
    train_images: int
    test_images: int
    valid_images: int = 0  # of a third set, for validation
    shape: tuple[int, ...]  # of an image: channels, rows, columns
    classes: tuple[str, ...]
    are_tokens: bool = False  # whole numbers that stand for something, as for words
    licence: str = ""
    origin: str = ""  # in a word

    @property
    def inputs(self) -> int:
        """Numbers per image."""
        return math.prod(self.shape)


@dataclass(frozen=True, kw_only=True)
class PublishedDataset(DatasetInfo):
    """A data set of published files."""

    files: Files
    decode: formats.Decode
    # By name, in the order of asking: functions that are given an empty folder to work in, and
    # return the folder with the published files.
    sources: Mapping[str, Callable[[Path], Path]]
    remedies: tuple[str, ...]  # for when no source has it
    has_choice: bool = True  # whether the user may name a folder with the files
    megabytes: int = 0  # to download

    def read(self, folder: Path) -> formats.Arrays:
        """Return the arrays of the files in a folder, each decoded when it is asked for.

        Raises `DataError` with a line for each file that is missing or wrong.
        """
        return self.decode(read_verified(folder, self.files))


def _idx_files(place: str, *sha256: str, ending: str = "") -> Files:
    """Return the four files of the idx format with these checksums."""
    kinds = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    names = (f"{kind}-ubyte{ending}" for kind in kinds)
    return Files(dict(zip(names, sha256, strict=True)), place)


def _download(name: str) -> Mapping[str, Callable[[Path], Path]]:
    return {"torchvision's download": partial(sources.download_with_torchvision, name)}


def _remedies(files: str) -> tuple[str, ...]:
    return (
        f"download {files} on another machine, and name their folder with --data-dir",
        'use a data set that is on every machine: dataset = "digits"',
    )


_CLOTHES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
_CIFAR_100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup
dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower
leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid
otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray
road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
wardrobe whale willow_tree wolf woman worm
"""
_FOUR_FILES = "the four published .gz files"
_like_mnist = partial(
    PublishedDataset,
    origin="torchvision",
    train_images=60_000,
    test_images=10_000,
    shape=(1, 28, 28),
    decode=formats.decode_idx,
)
_cifar = partial(
    PublishedDataset,
    licence="none stated",
    origin="torchvision",
    train_images=50_000,
    test_images=10_000,
    shape=(3, 32, 32),
)
DATASETS: Mapping[str, PublishedDataset] = {
    "fashion-mnist": _like_mnist(
        description="pictures of clothes (Zalando, 2017)",
        licence="MIT",
        megabytes=31,
        classes=_CLOTHES,
        files=_idx_files(
            "FashionMNIST/raw",
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
        sources={
            "Debian's package dataset-fashion-mnist": sources.find_package,
            **_download("FashionMNIST"),
            "apt-get download dataset-fashion-mnist": sources.download_with_apt,
        },
        remedies=(
            "install Debian's package: apt-get install dataset-fashion-mnist",
            f"download {_FOUR_FILES}, and name their folder with --data-dir",
            'use the small sample that comes with fmgrid: dataset = "fashion-mnist-sample"',
        ),
    ),
    "fashion-mnist-sample": PublishedDataset(
        description="some of Fashion-MNIST's pictures, as many of every class",
        licence="MIT",
        origin="fmgrid",
        train_images=2_000,
        test_images=500,
        shape=(1, 28, 28),
        classes=_CLOTHES,
        files=_idx_files(
            "",
            "b8cc50832156ceba7732a6ff7f422c822596825f46cce5991562dc26d6fe83db",
            "d5af3921b716664086b7f83fe30ea0f99bff659e8d1be75d0a7b6bb2f0f8c006",
            "db04ac65a4bbab15b5fcb9974db363916e6ee4e45d7eb0e1409b1beca4827945",
            "028e32b4d45584c387315de1fdf3e66781e2f9a91701d5853aaeb9b9f90eefc4",
        ),
        decode=formats.decode_idx,
        sources={"fmgrid's own files": sources.find_sample},
        remedies=("install fmgrid again",),
        has_choice=False,
    ),
    "digits": PublishedDataset(
        description="handwritten digits (Alpaydin and Kaynak, 1998)",
        licence="CC BY 4.0",
        origin="scikit-learn",
        train_images=1_500,
        test_images=297,
        shape=(1, 8, 8),
        classes=tuple("0123456789"),
        files=Files(
            {
                "digits.csv.gz": "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22",
            },
            "",
        ),
        decode=partial(formats.decode_digits, 1_500),
        sources={"scikit-learn's own files": sources.find_scikit_learn},
        remedies=("install scikit-learn: pip install scikit-learn",),
        has_choice=False,
    ),
    "mnist": _like_mnist(
        description="handwritten digits (LeCun et al., 1998)",
        licence="CC BY-SA 3.0",
        megabytes=12,
        classes=tuple("0123456789"),
        files=_idx_files(
            "MNIST/raw",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
        sources=_download("MNIST"),
        remedies=_remedies(_FOUR_FILES),
    ),
    "kmnist": _like_mnist(
        description="handwritten kana (Clanuwat et al., 2018)",
        licence="CC BY-SA 4.0",
        megabytes=21,
        classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        files=_idx_files(  # only the checksums of the packed files are published
            "KMNIST/raw",
            "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
            "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
            "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
            "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
            ending=".gz",
        ),
        sources=_download("KMNIST"),
        remedies=_remedies(_FOUR_FILES),
    ),
    "emnist-letters": PublishedDataset(
        description="handwritten letters (Cohen et al., 2017)",
        licence="none stated",
        origin="torchvision",
        megabytes=562,
        train_images=124_800,
        test_images=20_800,
        shape=(1, 28, 28),
        classes=tuple("abcdefghijklmnopqrstuvwxyz"),
        files=Files(
            {"gzip.zip": "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e"},
            "EMNIST/raw",
            most=600_000_000,
        ),
        decode=partial(formats.decode_emnist, "letters"),
        sources=_download("EMNIST"),
        remedies=_remedies("the published gzip.zip"),
    ),
    "cifar10": _cifar(
        description="photographs of 10 kinds (Krizhevsky, 2009)",
        megabytes=170,
        classes=(
            *("airplane", "automobile", "bird", "cat", "deer"),
            *("dog", "frog", "horse", "ship", "truck"),
        ),
        files=Files(
            {
                "data_batch_1": "54636561a3ce25bd3e19253c6b0d8538147b0ae398331ac4a2d86c6d987368cd",
                "data_batch_2": "766b2cef9fbc745cf056b3152224f7cf77163b330ea9a15f9392beb8b89bc5a8",
                "data_batch_3": "0f00d98ebfb30b3ec0ad19f9756dc2630b89003e10525f5e148445e82aa6a1f9",
                "data_batch_4": "3f7bb240661948b8f4d53e36ec720d8306f5668bd0071dcb4e6c947f78e9682b",
                "data_batch_5": "d91802434d8376bbaeeadf58a737e3a1b12ac839077e931237e0dcd43adcb154",
                "test_batch": "f53d8d457504f7cff4ea9e021afcf0e0ad8e24a91f3fc42091b8adef61157831",
            },
            "cifar-10-batches-py",
            archive=Archive(
                "cifar-10-python.tar.gz",
                "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
            ),
            most=200_000_000,
        ),
        decode=partial(formats.decode_cifar, "labels"),
        sources=_download("CIFAR10"),
        remedies=_remedies("the published cifar-10-python.tar.gz"),
    ),
    "cifar100": _cifar(
        description="photographs of 100 kinds (Krizhevsky, 2009)",
        megabytes=169,
        classes=tuple(_CIFAR_100.split()),
        files=Files(
            {
                "train": "735e79b04f092ca3d2e6d07f368c0a7d70d48c48d28865950cc24454cf45129b",
                "test": "4b67687d9933c4db8f0831104447f15b93774f4f464bd0516f0f0f2ac83b7864",
            },
            "cifar-100-python",
            archive=Archive(
                "cifar-100-python.tar.gz",
                "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
            ),
            most=200_000_000,
        ),
        decode=partial(formats.decode_cifar, "fine_labels"),
        sources=_download("CIFAR100"),
        remedies=_remedies("the published cifar-100-python.tar.gz"),
    ),
}
