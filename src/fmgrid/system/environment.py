"""Protect this process and its children from the current folder and the environment.

This runs before any other import, and imports only what Python itself has imported.
"""

import os
import sys

# Libraries read these, and may crash, print or round differently because of them.
_PREFIXES = (
    *("TORCH", "PYTORCH_", "KINETO_", "ATEN_"),  # TORCHDYNAMO_..., TORCHINDUCTOR_... as well
    *("MKL_", "KMP_", "OMP_", "GOMP_", "ONEDNN_", "DNNL_", "OPENBLAS_"),
    *("NPY_", "NUMPY_", "NUMEXPR_", "SCIPY_", "PANDAS_", "PYDANTIC_", "PROTOCOL_BUFFERS_"),
    *("MPLBACKEND", "MATPLOTLIBRC", "SOURCE_DATE_EPOCH"),  # Jupyter sets the first one
    *("LOGURU_", "TQDM_", "TERMINAL_WIDTH"),
)
# Of those, the ones that a user may need, and that do no harm.
_KEPT = {
    "ATEN_CPU_CAPABILITY",  # results record it, as the software's "cpu"
    "KMP_DUPLICATE_LIB_OK",  # without it, some installations end at the import of torch
    *("TORCH_DEVICE_BACKEND_AUTOLOAD", "TORCH_HOME", "TORCHINDUCTOR_CACHE_DIR"),
}
# Python reads these when it starts, so that it must start anew without them. PYTHONTRACEMALLOC
# would let the import of torch take minutes.
_OF_PYTHON = (
    *("PYTHONDEBUG", "PYTHONDEVMODE", "PYTHONINSPECT", "PYTHONINTMAXSTRDIGITS", "PYTHONOPTIMIZE"),
    *("PYTHONPROFILEIMPORTTIME", "PYTHONTRACEMALLOC", "PYTHONVERBOSE"),
    *("PYTHONWARNDEFAULTENCODING", "PYTHONWARNINGS"),
)
_SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))  # holds the package


def shield() -> None:
    """Stop the current folder and the environment from deciding which code runs, and how.

    If they have changed Python itself, the command starts again without them.
    """
    _put_current_folder_last()
    forget_libraries()
    for name in ("COLUMNS", "LINES"):
        size = os.environ.get(name, "80")
        if not (size.isascii() and size.isdigit() and len(size) <= len("1000")):  # "²" ends rich
            del os.environ[name]
    changed = [name for name in _OF_PYTHON if os.environ.pop(name, None)]
    if changed and not sys.flags.ignore_environment:
        _start_anew()


def forget_libraries() -> None:
    """Take the variables that libraries read out of the environment."""
    for name in list(os.environ):
        if name.startswith(_PREFIXES) and name not in _KEPT:
            del os.environ[name]


def _start_anew() -> None:
    """Run the same command in a new Python; never returns."""
    command = [sys.executable, *sys.orig_argv[1:]]
    if sys.platform != "win32":
        os.execv(command[0], command)  # noqa: S606 - the command that runs already
    # On Windows, exec lets the shell go on at once. A plain exit would heed PYTHONINSPECT.
    import subprocess

    os._exit(subprocess.call(command))  # noqa: S603


def _put_current_folder_last() -> None:
    """Take the current folder out of the places of modules, here and in processes to come.

    A copy.py in it would pass for Python's own. `components` looks for optimizers there, after
    all installed modules.
    """
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        current = os.path.realpath(os.getcwd())
    except OSError:  # the folder is gone, and holds no modules
        return
    if os.path.realpath(_SOURCE) == current:
        return  # a developer of fmgrid, in the folder of its source
    # Python's own modules and installed ones come last.
    standard_library = os.path.realpath(os.path.dirname(os.__file__))
    places = [os.path.realpath(folder) for folder in sys.path]
    installed = places.index(standard_library) if standard_library in places else len(places)
    sys.path[:installed] = _without(current, sys.path[:installed])
    python_path = os.environ.pop("PYTHONPATH", "")
    if folders := _without(current, python_path.split(os.pathsep)):
        os.environ["PYTHONPATH"] = os.pathsep.join(folders)


def _without(current: str, folders: list[str]) -> list[str]:
    return [folder for folder in folders if os.path.realpath(folder) != current]
