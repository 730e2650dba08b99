"""A folder of images -> arrays: a sub-folder for each class, as torchvision's ImageFolder reads it.

Pillow decodes, as it does for torchvision: the same files give the same pixels.
"""

import hashlib
import os
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fmgrid.data.own_arrays import OwnDataError
from fmgrid.errors import is_lack_of_memory, is_the_machines, reason_of, text_of
from fmgrid.settings import show_toml
from fmgrid.system.disk import open_regular
from fmgrid.words import counted, first_few, printable

if TYPE_CHECKING:
    import numpy as np

DEFAULT_TEST = 0.2

_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
_PARTS = {"train": "train", "test": "test"} | dict.fromkeys(("val", "valid", "validation"), "valid")
_GREY, _RGB = "L", "RGB"  # as Pillow calls them
_MODES = {"grey": _GREY, "gray": _GREY, "rgb": _RGB}
_GREY_MODES = {"1", "L", "LA", "La"}  # of files; the others have colors, or more than 8 bits
_DEEP_MODES = {"I", "F"}  # and those that begin with I;16
_FILES_SHOWN = 5
_LARGEST_SIZE = 10_000  # rows or columns


class Options(NamedTuple):
    """How a folder is read."""

    test: float | None  # share of each class that is the test set, where the folder has none
    size: tuple[int, int] | None  # rows, columns
    color: str | None  # "grey" or "rgb"; None takes grey where all files are


class Listing(NamedTuple):
    """The files of a folder, without a look into them."""

    classes: tuple[str, ...]
    files: Mapping[str, Sequence[tuple[Path, int]]]  # with their labels, by split


def read_options(args: Mapping[str, Any]) -> Options:
    """Check the arguments of a folder. Raises `OwnDataError` for one that is none."""
    test: Any = args.get("test")
    size: Any = args.get("size")
    is_share = type(test) in (int, float) and 0 < test < 1
    is_size = isinstance(size, list) and [type(side) for side in size] == [int, int]
    is_size = is_size and all(0 < side <= _LARGEST_SIZE for side in size)
    remedies = {
        "test": is_share or "is no share; write 0.2 for a fifth of each class",
        "size": is_size or "is no number of rows and columns; write [32, 32]",
        "color": args.get("color") in _MODES or 'is no color; write "grey" or "rgb"',
    }
    problems = [
        f"dataset_args.{name}: {show_toml(args[name])} {remedy}"
        for name, remedy in remedies.items()
        if name in args and isinstance(remedy, str)
    ]
    if problems:
        raise OwnDataError(*problems)
    return Options(test, tuple(size) if size else None, args.get("color"))


def find_images(folder: Path, options: Options) -> Listing:
    """Return the images of a folder with their classes. Raises `OwnDataError`, `OSError`."""
    parts = _find_parts(folder)
    if len(parts) == 1:
        (whole,) = parts.values()
        return _with_test_share(whole, _by_class(whole), options.test or DEFAULT_TEST)
    if options.test is not None:
        raise OwnDataError(
            "dataset_args.test: the folder has test images of its own; leave this out"
        )
    by_class = {part: _by_class(path) for part, path in parts.items()}
    classes = tuple(by_class["train"])
    for part, files in by_class.items():
        if strange := [name for name in files if name not in by_class["train"]]:
            name = parts[part].name
            raise OwnDataError(f"{name}/ has {first_few(strange, 3)}, which train/ lacks")
    return Listing(
        classes,
        {part: _in_order(parts[part], files, classes) for part, files in by_class.items()},
    )


def _find_parts(folder: Path) -> dict[str, Path]:
    """Return the folders of train, test and valid; the folder itself is train where it has none."""
    parts: dict[str, Path] = {}
    for path in _subfolders(folder):
        if part := _PARTS.get(path.name.lower()):
            if part in parts:
                raise OwnDataError(f"has both {parts[part].name}/ and {path.name}/; keep one")
            parts[part] = path
    if not parts:
        return {"train": folder}
    if "train" not in parts:
        name = next(iter(parts.values())).name
        raise OwnDataError(f"has {name}/ and no train/; add that, or call {name}/ otherwise")
    if "valid" in parts and "test" not in parts:  # as in torchvision's tutorials
        parts["test"] = parts.pop("valid")
    return parts


def stamp(listing: Listing) -> str:
    """Return a key of the files' names, sizes and times, equal while nothing changes."""
    digest = hashlib.sha256()
    for part, files in sorted(listing.files.items()):
        for path, label in files:
            status = path.stat()
            facts = (part, str(path), label, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            digest.update(repr(facts).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def read_images(folder: Path, listing: Listing, options: Options) -> dict[str, Any]:
    """Return the arrays of the images, uint8 [n, channels, rows, columns], by their usual keys.

    Raises `OwnDataError` with all damaged files.
    """
    import numpy as np

    files = [file for part in listing.files.values() for file, _ in part]
    modes, sizes, damage = _examine(files)
    sizes_left = {options.size} if options.size else set(sizes)
    problems = []
    if len(sizes_left) > 1:
        shown = ", ".join(
            f"{rows} x {columns} ({_relative(path, folder)})"
            for (rows, columns), path in list(sizes.items())[:3]
        )
        problems.append(
            f"has images of {len(sizes)} sizes, such as {shown}; write dataset_args.size = [32, 32]"
        )
    is_grey = options.color is None and modes <= _GREY_MODES
    mode = _GREY if is_grey else _MODES[options.color or "rgb"]
    given: dict[str, Any] = {"classes": list(listing.classes)}
    for part, pairs in listing.files.items():
        images = []
        for path, _ in pairs:
            if path not in damage and len(sizes_left) == 1:
                try:
                    images.append(_decode(path, mode, options.size))
                except Exception as error:  # noqa: BLE001 - decoders raise anything
                    damage[path] = _reason(error)
        if not damage and len(sizes_left) == 1:
            given[f"x_{part}"] = np.stack(images)
            given[f"y_{part}"] = np.array([label for _, label in pairs])
    if damage:
        shown = first_few(
            [f"{_relative(path, folder)} ({reason})" for path, reason in damage.items()],
            _FILES_SHOWN,
        )
        verb = "is" if len(damage) == 1 else "are"
        of = f"of {counted(len(files), 'image')}, {len(damage):,} {verb} damaged: {shown}"
        problems.append(f"{of}; replace or remove {'it' if len(damage) == 1 else 'them'}")
    if problems:
        raise OwnDataError(*problems)
    return given


def _subfolders(folder: Path) -> list[Path]:
    """Return the folders directly in a folder, but hidden ones such as .ipynb_checkpoints."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_dir() and not _is_hidden(entry.name)]
    return [folder / name for name in sorted(names)]


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__"))  # macOS packs __MACOSX into its archives


def _by_class(folder: Path) -> dict[str, list[Path]]:
    """Return the images below a folder by its sub-folders."""
    classes = {path.name: sorted(_images_below(path)) for path in _subfolders(folder)}
    if len(classes) < 2:  # noqa: PLR2004 - nothing to tell apart
        number = "one sub-folder" if classes else "no sub-folders"
        raise OwnDataError(
            f"{folder.name or folder}/ has {number}; write one for each class, as cats/ and dogs/"
        )
    if empty := [name for name, files in classes.items() if not files]:
        raise OwnDataError(
            f"{first_few([f'{folder.name}/{name}/' for name in empty], 3)} without an image; "
            f"their names end in {', '.join(_ENDINGS)}"
        )
    return classes


def _images_below(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        for name in names:
            if name.lower().endswith(_ENDINGS) and not _is_hidden(name):
                yield Path(place, name)


def _raise(error: OSError) -> None:
    raise error


def _in_order(
    folder: Path, by_class: Mapping[str, Sequence[Path]], classes: Sequence[str]
) -> list[tuple[Path, int]]:
    """Return the images with their labels, in an order that mixes the classes.

    It follows from the files' names, so that the last ones, which may be held out for validation,
    are of all classes.
    """
    labels = {name: label for label, name in enumerate(classes)}
    pairs = [(path, labels[name]) for name, files in by_class.items() for path in files]
    return sorted(pairs, key=lambda pair: _draw(pair[0], folder))


def _with_test_share(folder: Path, by_class: Mapping[str, list[Path]], share: float) -> Listing:
    """Return the images with a share of each class as test images, chosen by the files' names."""
    train: dict[str, list[Path]] = {}
    test: dict[str, list[Path]] = {}
    for name, files in by_class.items():
        count = max(1, round(share * len(files)))
        if count >= len(files):
            raise OwnDataError(
                f"{name}/ has {counted(len(files), 'image')}, of which a test share of {share} "
                "leaves none to learn from; add some, or write a smaller dataset_args.test"
            )
        drawn = sorted(files, key=lambda path: _draw(path, folder))
        test[name], train[name] = drawn[:count], drawn[count:]
    classes = tuple(by_class)
    return Listing(
        classes,
        {
            "train": _in_order(folder, train, classes),
            "test": _in_order(folder, test, classes),
        },
    )


def _draw(path: Path, folder: Path) -> bytes:
    """Return a key that orders files by chance, and always alike."""
    name = path.relative_to(folder).as_posix()
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()


def _examine(
    files: Sequence[Path],
) -> tuple[set[str], dict[tuple[int, int], Path], dict[Path, str]]:
    """Return the modes, an example of each size, and the damage, as far as headers tell."""
    from PIL import Image

    modes: set[str] = set()
    sizes: dict[tuple[int, int], Path] = {}
    counts: Counter[tuple[int, int]] = Counter()
    damage: dict[Path, str] = {}
    for path in files:
        try:
            with open_regular(path) as stream, Image.open(stream) as image:
                if image.mode in _DEEP_MODES or image.mode.startswith("I;"):
                    damage[path] = "more than 8 bits for each color"
                    continue
                modes.add(image.mode)
                sizes.setdefault((image.height, image.width), path)
                counts[image.height, image.width] += 1
        except Exception as error:  # noqa: BLE001 - decoders raise anything
            damage[path] = _reason(error)
    return modes, {size: sizes[size] for size, _ in counts.most_common()}, damage


def _decode(path: Path, mode: str, size: tuple[int, int] | None) -> "np.ndarray[Any, Any]":
    """Return an image, uint8 [channels, rows, columns]."""
    import numpy as np
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with open_regular(path) as stream, Image.open(stream) as opened:
            image = opened.convert(mode)
    if size is not None and (image.height, image.width) != size:
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, np.uint8)
    return pixels[np.newaxis] if mode == _GREY else pixels.transpose(2, 0, 1)


def _reason(error: Exception) -> str:
    if is_lack_of_memory(error) or (isinstance(error, OSError) and is_the_machines(error)):
        raise error
    is_image = "cannot identify image file" not in text_of(error)
    return reason_of(error, 80) if is_image else "no image"


def _relative(path: Path, folder: Path) -> str:
    return printable(path.relative_to(folder).as_posix(), 80)
