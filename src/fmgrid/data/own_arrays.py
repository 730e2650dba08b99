"""A user's arrays -> inputs, labels and class names, checked and converted.

They come from a file, a folder of images or a function, by the keys of `KEYS`. All mistakes are
reported at once, each with what to write.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fmgrid.data.formats import Array
from fmgrid.errors import FmgridError, is_lack_of_memory, on_one_line, reason_of, text_of
from fmgrid.system.disk import open_regular
from fmgrid.words import first_few, near_match, or_near_match, printable

REQUIRED = ("x_train", "y_train", "x_test", "y_test")
KEYS = (*REQUIRED, "x_valid", "y_valid", "classes")
_LONGEST_NAME = 100  # characters of a class
_MOST_CLASSES = 100_000


class OwnDataError(FmgridError):
    """A user's data cannot be used as they are, for one or several reasons."""

    exit_code = 2


class OwnArrays(NamedTuple):
    """A user's data, converted."""

    # By their names in the cache: inputs [n, *shape], labels int64 [n]
    arrays: Mapping[str, Array]
    classes: tuple[str, ...]


def to_mapping(returned: Any) -> Mapping[str, Any]:
    """Return what a function returned by the names of `KEYS`. Raises `OwnDataError`."""
    if isinstance(returned, Mapping):
        return returned
    if isinstance(returned, tuple | list) and len(returned) in (4, 6):
        return dict(zip(KEYS, returned, strict=False))
    size = f" of {len(returned)}" if isinstance(returned, tuple | list) else ""
    raise OwnDataError(
        f"it returns a {type(returned).__name__}{size}; "
        f"return ({', '.join(REQUIRED)}), or a dict with these keys"
    )


def convert(given: Mapping[str, Any]) -> OwnArrays:
    """Return the arrays of a user as networks take them. Raises `OwnDataError`.

    uint8 becomes float32 from 0 to 1, other floats become float32, and other whole numbers int64.
    """
    problems = [*_check_keys(given)]
    inputs: dict[str, Array] = {}
    labels: dict[str, Array] = {}
    for key in (key for key in KEYS[:6] if key in given):
        try:
            array = _to_array(given[key])
            if key.startswith("x"):
                inputs[key] = _to_inputs(array)
            else:
                labels[key] = _to_labels(array)
        except OwnDataError as error:
            problems += [f"{key} {message}" for message in error.args]
    problems += _compare(inputs, labels, given)
    classes: tuple[str, ...] = ()
    try:
        classes = _to_classes(given.get("classes"), labels)
    except OwnDataError as error:
        problems += error.args
    if problems:
        raise OwnDataError(*problems)
    arrays = {f"{key[2:]}_inputs.npy": array for key, array in inputs.items()}
    return OwnArrays(arrays | {f"{key[2:]}_labels.npy": labels[key] for key in labels}, classes)


def _check_keys(given: Mapping[str, Any]) -> Iterator[str]:
    unknown = [str(key) for key in given if key not in KEYS]
    missing = [key for key in REQUIRED if key not in given]
    for key, other in (("x_valid", "y_valid"), ("y_valid", "x_valid")):
        if key in given and other not in given:
            missing.append(other)
    for key in missing:
        near = near_match(key, unknown)
        others = f"; it has {', '.join(sorted(unknown))}" if unknown else ""
        yield f"has no {key}{printable(f'; rename {near}' if near else others, 200)}"
    for key in unknown if not missing else ():
        yield f'has "{printable(key, 80)}"{or_near_match(key, KEYS, "and may have")}'


def _to_array(value: Any) -> Array:
    """Return an array, a tensor or a list as an array."""
    import numpy as np

    try:
        if hasattr(value, "detach"):  # of torch
            value = value.detach().cpu().numpy()
        array = np.asarray(value)
    except Exception as error:  # a list of rows of different lengths, or anyone's class
        if is_lack_of_memory(error):
            raise
        raise OwnDataError(f"is no array ({printable(on_one_line(error), 200)})") from error
    if np.ma.is_masked(value):
        raise OwnDataError("has masked numbers; replace them, or leave out these rows")
    if array.dtype.kind == "O":
        raise OwnDataError("holds Python's objects; write an array of numbers")
    if array.ndim and not array.size:
        raise OwnDataError(f"is empty: its shape is {[*array.shape]}")
    return array


def _to_inputs(array: Array) -> Array:
    """Return inputs as float32 or int64, [n, *shape]."""
    import numpy as np

    if array.ndim < 2:  # noqa: PLR2004 - a row for each label
        hint = "write [n, features], or images [n, c, h, w]"
        raise OwnDataError(f"has the shape {[*array.shape]}; {hint}")
    if array.dtype == np.uint8:
        return array / np.float32(255)
    if array.dtype.kind in "iu":
        if array.dtype.kind == "u" and array.max() > np.iinfo(np.int64).max:
            raise OwnDataError("holds numbers that are too large for int64")
        return array.astype(np.int64)
    if array.dtype.kind not in "fb":
        raise OwnDataError(f"holds {array.dtype}; write numbers")
    with np.errstate(over="ignore"):
        converted = array.astype(np.float32)
    if count := converted.size - int(np.isfinite(converted).sum()):
        row = int(np.argwhere(~np.isfinite(converted))[0, 0])
        raise OwnDataError(
            f"holds {count:,} of nan or inf, the first in row {row:,}; replace them, or leave out "
            "these rows"
        )
    return converted


def _to_labels(array: Array) -> Array:
    """Return labels as int64 [n]."""
    import numpy as np

    if array.ndim == 2 and array.shape[1] == 1:  # noqa: PLR2004 - a column, as Keras has it
        array = array[:, 0]
    if array.ndim != 1:
        hint = "; of one-hot rows write y.argmax(axis=1)" if array.ndim > 1 else ""
        rule = f"labels are whole numbers [n]{hint}"
        raise OwnDataError(f"has the shape {[*array.shape]}, and {rule}")
    if array.dtype.kind in "US":
        hint = "write classes, y = np.unique(y, return_inverse=True)"
        raise OwnDataError(f"holds text, and labels are whole numbers from 0; {hint}")
    if array.dtype.kind not in "iufb":
        raise OwnDataError(f"holds {array.dtype}, and labels are whole numbers from 0")
    with np.errstate(invalid="ignore"):
        labels = array.astype(np.int64)
    wrong = (labels != array) | (labels < 0)
    if wrong.any():
        row = int(wrong.argmax())
        raise OwnDataError(f"holds {array[row]} in row {row:,}; labels are whole numbers from 0")
    return labels


def _compare(
    inputs: Mapping[str, Array], labels: Mapping[str, Array], given: Mapping[str, Any]
) -> Iterator[str]:
    """Yield what does not fit together."""
    for key, array in inputs.items():
        other = labels.get(f"y{key[1:]}")
        if other is not None and len(other) != len(array):
            yield f"{key} has {len(array):,} rows, and y{key[1:]} has {len(other):,}"
    first, *others = inputs or [""]
    for key in others:
        array, other = inputs[first], inputs[key]
        if other.shape[1:] != array.shape[1:]:
            shapes = f"{[*array.shape[1:]]}, and one of {key} {[*other.shape[1:]]}"
            yield f"a row of {first} has the shape {shapes}; give all one shape"
        types = [getattr(given[name], "dtype", None) for name in (first, key)]
        is_scaled = [str(each).endswith("uint8") for each in types]
        if other.dtype != array.dtype or is_scaled[0] != is_scaled[1]:
            yield f"{first} holds {types[0]}, and {key} holds {types[1]}; give both one type"


def _to_classes(given: Any, labels: Mapping[str, Array]) -> tuple[str, ...]:
    """Return the names of the classes, which are the labels where none are given."""
    import numpy as np

    most = {key: int(array.max()) for key, array in labels.items()}
    if given is not None:
        names = _to_names(given)
        for key, label in most.items():
            if label >= len(names):
                raise OwnDataError(
                    f"{key} holds the label {label}, and classes has {len(names)} names, "
                    f"for labels from 0 to {len(names) - 1}"
                )
        return names
    if (train := labels.get("y_train")) is None:
        return ()
    present = np.unique(train)
    gaps = np.flatnonzero(present != np.arange(len(present)))
    if gaps.size:
        raise OwnDataError(
            f"y_train has no label {gaps[0]}, and {present[gaps[0]]} is one; number the classes "
            "from 0 without gaps, or give their names as classes"
        )
    for key, label in most.items():
        if label >= len(present):
            raise OwnDataError(f"{key} holds the label {label}, which y_train lacks")
    if len(present) == 1:
        raise OwnDataError("y_train has one label only, and there is nothing to learn")
    if len(present) > _MOST_CLASSES:
        raise OwnDataError(_too_many("y_train", len(present)))
    return tuple(map(str, range(len(present))))


def _to_names(given: Any) -> tuple[str, ...]:
    array = _to_array(given)
    if array.ndim != 1 or array.dtype.kind not in "US":
        raise OwnDataError('classes is no list of names; write ["cat", "dog"]')
    names = tuple(
        name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in array
    )
    if len(names) > _MOST_CLASSES:
        raise OwnDataError(_too_many("classes", len(names)))
    counts = Counter(names)
    wrong = [name for name in names if not name or not name.isprintable()]
    wrong += [name for name in names if len(name) > _LONGEST_NAME or counts[name] > 1]
    if wrong:
        shown = first_few([f'"{printable(name, 40)}"' for name in dict.fromkeys(wrong)], 3)
        raise OwnDataError(
            f"classes holds {shown}; write a different name of at most {_LONGEST_NAME} characters "
            "for each class"
        )
    if len(names) == 1:
        raise OwnDataError("classes has one name only, and there is nothing to learn")
    return names


def _too_many(key: str, count: int) -> str:
    return f"{key} has {count:,} classes; at most {_MOST_CLASSES:,} can be told apart"


def read_npz(path: Path) -> dict[str, Any]:
    """Return the arrays of a file of numpy. Raises `OwnDataError`; nothing is unpickled."""
    import numpy as np

    given: dict[str, Any] = {}
    problems = []
    try:
        with open_regular(path) as stream, np.load(stream, allow_pickle=False) as archive:
            # First, because numpy asks for the memory of whatever size a damaged array claims.
            if damaged := archive.zip.testzip():
                problems.append(f"{printable(damaged, 80)} is damaged; make the file again")
            for key in archive.files if not damaged else ():
                try:
                    given[key] = archive[key]
                except ValueError as error:
                    problems.append(f"{printable(key, 80)} cannot be read: {_reason(error)}")
    except MemoryError:
        raise
    except OSError as error:
        raise OwnDataError(f"cannot be read: {_reason(error)}") from error
    except Exception as error:  # zipfile and numpy raise anything about a damaged file
        raise OwnDataError(f"is no .npz file: {_reason(error)}; write it with np.savez") from error
    if problems:
        raise OwnDataError(*problems)
    return given


def _reason(error: Exception) -> str:
    if "allow_pickle" in text_of(error):
        return "it holds Python's objects; write an array of numbers"
    return reason_of(error, 120)
