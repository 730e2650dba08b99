"""Results files: a run as TOML, with a digest that shows whether the file is whole.

Records of grids are sealed in the same way.
"""

import hashlib
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fmgrid.components import as_taken
from fmgrid.errors import DamagedFileError, NewerFormatError
from fmgrid.experiment import Experiment, Run
from fmgrid.metrics import COLUMNS, METRICS
from fmgrid.system import toml
from fmgrid.system.disk import read_regular
from fmgrid.words import printable

FORMAT = 1
MOST_BYTES = 200_000_000  # of a file that is read: the results of a run of a million epochs
# What a reader may raise when it makes a record of a document of any shape.
BAD_RECORD = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

_HEADER = b"# Written by fmgrid; modellogs/README.md of its repository explains it.\n"
_DIGEST = re.compile(rb'((?:#[^\n]*\n){0,20})digest = "sha256:([0-9a-f]{64})"\n(.*)', re.DOTALL)
_MOST_REASONS = 3
_LONGEST_REASON = 500  # characters


def to_results(run: Run) -> bytes:
    """Return the content of a results file."""
    import tomlkit

    document: dict[str, Any] = {
        "run": run.experiment.run_name,
        "status": run.status,
        "trained_as": run.trained_as,
        "attempts": run.attempts if run.attempts > 1 else None,
        "started": run.started,
        "seconds": run.seconds,
        "experiment": {
            **run.experiment.model_dump(),
            "fingerprint": run.experiment.fingerprint,
        },
        "failure": run.failure.model_dump() if run.failure else None,
        "metrics": {name: METRICS[name].of(run) for name in COLUMNS},
        "software": run.software,
        "history": [record.model_dump() for record in run.history],
    }
    if run.failure:
        document["failure"]["traceback"] = tomlkit.string(run.failure.traceback, multiline=True)
    return seal(document)


def read_results(path: Path) -> Run:
    """Return the run in a results file.

    Raises `DamagedFileError`, with the file's name, if fmgrid did not write the file so.
    """
    document = read_sealed(path)
    try:
        values = {**document.get("metrics", {}), **document}
        settings = {**document["experiment"]}
        settings.pop("fingerprint")
        values["experiment"] = as_taken(Experiment(**settings))
        values["history"] = tuple(document.get("history", ()))
        return Run(**{name: values[name] for name in Run.model_fields if name in values})
    except BAD_RECORD as error:
        raise DamagedFileError(f"{path}: does not fit this fmgrid: {misfit_of(error)}") from error


def misfit_of(error: Exception) -> str:
    """Return on one line why a document is no record of fmgrid's, with the field that is wrong."""
    if not isinstance(error, ValidationError):
        return printable(f"{type(error).__name__} {error}", _LONGEST_REASON)
    # Its own text would spell out the value, which may be a number of a million digits.
    details = error.errors(include_url=False, include_context=False, include_input=False)
    reasons = [
        ": ".join(filter(None, (".".join(map(str, detail["loc"])), detail["msg"])))
        for detail in details[:_MOST_REASONS]
    ]
    return printable("; ".join(reasons), _LONGEST_REASON)


def seal(document: Mapping[str, Any]) -> bytes:
    """Return a document as TOML with a digest, for `read_sealed`."""
    import tomlkit

    values = _storable({"format": FORMAT, **document})
    # Within a text of several lines, a reader would take Windows' line end for the other one.
    body = tomlkit.dumps(values).replace("\r\n", "\\r\\n").encode()
    return b'%bdigest = "sha256:%b"\n%b' % (_HEADER, _digest(body), body)


def _storable(value: Any) -> Any:
    """Return a value as TOML holds it: without None, with lists for tuples."""
    import tomlkit

    if isinstance(value, dict):
        return {key: _storable(item) for key, item in value.items() if item is not None}
    if not isinstance(value, list | tuple):
        return value
    if not all(isinstance(item, str) for item in value):
        return [_storable(item) for item in value]
    # tomlkit counts all of a list again for each item: 10,000 names would take 19 s.
    return tomlkit.value(f"[{', '.join(tomlkit.item(text).as_string() for text in value)}]")


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


def read_sealed(path: Path) -> dict[str, Any]:
    """Return the document in a file whose content `seal` made.

    Raises `DamagedFileError`, with the file's name, for any other file.
    """
    try:
        # A link could lead anywhere.
        if not stat.S_ISREG(path.lstat().st_mode):
            raise DamagedFileError(f"{path}: is not a regular file")
        content = read_regular(path, MOST_BYTES)
    except OSError as error:
        raise DamagedFileError(f"{path}: cannot be read: {error.strerror}") from error
    match = _DIGEST.fullmatch(_with_unix_line_ends(content))
    if match is None:
        raise DamagedFileError(f"{path}: is no file of fmgrid's: it has no digest")
    header, digest, body = match.groups()
    if _digest(body) != digest:
        raise DamagedFileError(f"{path}: was changed or damaged: its digest does not match")
    try:
        document = toml.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"{path}: is not valid TOML: {error}") from error
    number = document.get("format")
    if number != FORMAT:
        is_newer = type(number) is int and number > FORMAT
        raise (NewerFormatError if is_newer else DamagedFileError)(
            f"{path}: has format {number}, and this fmgrid reads {FORMAT}; "
            "read it with the version that wrote it"
        )
    if header != _HEADER:
        raise DamagedFileError(f"{path}: was changed or damaged: its first line is another")
    return document


def _with_unix_line_ends(content: bytes) -> bytes:
    """Return a text as it was before git gave each of its lines the line end of Windows.

    A text with line ends of both kinds stays as it is: it is damaged, and the digest shows that.
    """
    ends = content.count(b"\r\n")
    is_windows = ends == content.count(b"\n") == content.count(b"\r")
    return content.replace(b"\r\n", b"\n") if ends and is_windows else content
