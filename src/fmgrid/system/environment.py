"""Keep this process, and those that it starts, from what the folder and the environment change.

Runs before anything else is imported: it may import only what Python itself has imported.
"""

import os
import sys

# Libraries read these, and may crash, print or round otherwise because of them.
_PREFIXES = (
    "LOGURU_",
    "TORCH",  # TORCH_LOGS, TORCHINDUCTOR_..., TORCHDYNAMO_...
    "PYTORCH_",
    "KINETO_",
    "ATEN_",
    "MKL_",
    "KMP_",
    "OMP_",
    "GOMP_",
    "ONEDNN_",
    "DNNL_",
    "OPENBLAS_",
    "NPY_",
    "NUMPY_",
    "NUMEXPR_",
    "SCIPY_",
    "PANDAS_",
    "PYDANTIC_",
    "PROTOCOL_BUFFERS_",
    "MPLBACKEND",  # Jupyter sets it, for a kernel that is not here
    "MATPLOTLIBRC",
    "SOURCE_DATE_EPOCH",
    "TQDM_",
    "TERMINAL_WIDTH",
)
# Of those, the ones that a user may need, and that spoil nothing.
_KEPT = {
    "ATEN_CPU_CAPABILITY",  # results record it, as the software's "cpu"
    "KMP_DUPLICATE_LIB_OK",  # without it, some installations end at the import of torch
    "TORCH_DEVICE_BACKEND_AUTOLOAD",
    "TORCH_HOME",
    "TORCHINDUCTOR_CACHE_DIR",
}


# The folder that holds the package.
_SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))

# Python itself reads these when it starts, and its children do by its flags: it must start anew.
_OF_PYTHON = (
    "PYTHONDEBUG",
    "PYTHONDEVMODE",
    "PYTHONINSPECT",
    "PYTHONINTMAXSTRDIGITS",
    "PYTHONOPTIMIZE",
    "PYTHONPROFILEIMPORTTIME",
    "PYTHONTRACEMALLOC",  # the import of torch takes minutes
    "PYTHONVERBOSE",
    "PYTHONWARNDEFAULTENCODING",
    "PYTHONWARNINGS",
)


def shield() -> None:
    """Let neither the current folder nor the environment decide which code runs, or how.

    Where Python itself has been changed, the command starts once more without that.
    """
    _put_current_folder_last()
    for name in list(os.environ):
        if name.startswith(_PREFIXES) and name not in _KEPT:
            del os.environ[name]
    for name in ("COLUMNS", "LINES"):
        if not _is_size(os.environ.get(name, "80")):
            del os.environ[name]
    words = {"COMP_WORDS", "_TYPER_COMPLETE_ARGS"}  # without them, there is nothing to complete
    if os.environ.get("_FMGRID_COMPLETE", "").startswith("complete") and not words & {*os.environ}:
        del os.environ["_FMGRID_COMPLETE"]
    changed = [name for name in _OF_PYTHON if os.environ.pop(name, None)]
    if changed and not sys.flags.ignore_environment:
        _start_anew()


def _is_size(text: str) -> bool:
    """Tell whether a text is the size of a terminal: rich takes a "²" for a number, too."""
    return text.isascii() and text.isdigit() and len(text) <= len("1000")


def _start_anew() -> None:
    """Run the same command in a new Python; never returns."""
    command = [sys.executable, *sys.orig_argv[1:]]
    if sys.platform != "win32":
        os.execv(command[0], command)  # noqa: S606 - the command that runs already
    # There, exec would let the shell go on at once. A plain exit would mind PYTHONINSPECT.
    import subprocess

    os._exit(subprocess.call(command))  # noqa: S603


def _put_current_folder_last() -> None:
    """Leave the current folder out of the places of modules, here and in processes to come.

    A copy.py in it would pass for Python's own. `components` looks there for optimizers, after
    all installed modules.
    """
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        here = os.path.realpath(os.getcwd())
    except OSError:  # the folder is gone, and holds no modules
        return
    if os.path.realpath(_SOURCE) == here:
        return  # a developer of fmgrid, in the folder of its source
    installed = _first_installed()
    sys.path[:installed] = _without(here, sys.path[:installed])
    given = os.environ.pop("PYTHONPATH", "")
    if kept := _without(here, given.split(os.pathsep)):
        os.environ["PYTHONPATH"] = os.pathsep.join(kept)


def _first_installed() -> int:
    """Return the index in sys.path from which on there are Python's own and installed modules."""
    own = os.path.realpath(os.path.dirname(os.__file__))
    places = [os.path.realpath(folder) for folder in sys.path]
    return places.index(own) if own in places else len(places)


def _without(here: str, folders: list[str]) -> list[str]:
    return [folder for folder in folders if os.path.realpath(folder) != here]
