import os
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from command import QUICK, bits, fmgrid, write
from fmgrid.system.environment import shield

pytestmark = pytest.mark.usefixtures("elsewhere")

SHADOW = """
import pathlib
pathlib.Path({folder!r}, __name__).touch()
raise RuntimeError(f"{{__name__}} of the current folder")
"""
OWN = """
import copy, random, queue
from torch.optim import SGD
class Mine(SGD):
    pass
"""
ABSENT = {"colorama", "redis", "pycute", "numba"}  # modules that torch tries
RUNS = '[[point]]\nname = "theirs"\n[[point]]\nname = "own"\noptimizer = "own_optimizer:Mine"\n'
SPAWNING = """
import multiprocessing
from fmgrid.system.environment import shield
shield()
multiprocessing.get_all_start_methods = lambda: ["spawn"]
from fmgrid.execution.processes import Processes
with Processes(1) as processes:
    print(processes.call(len, "spawned"))
"""


@pytest.fixture
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Return the bits of a run."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "grid.toml").write_text(QUICK)
    assert fmgrid("run", folder / "grid.toml", "--logdir", folder / "modellogs").returncode == 0
    return bits(folder / "modellogs")


def write_shadows(but: set[str]) -> None:
    """Write a file for every module that Python and the libraries have or try, and a fmgrid."""
    Path("imported").mkdir()
    shadow = SHADOW.format(folder=str(Path("imported").absolute()))
    for name in {*sys.stdlib_module_names, *packages_distributions(), *ABSENT} - {"fmgrid"} - but:
        if name.isidentifier():
            write(shadow, f"{name}.py")
    Path("fmgrid").mkdir()
    for name in ("__init__", "training", "preload", "worker", "components"):
        write(shadow, f"fmgrid/{name}.py")


def imported_by_python(*words: str, **environment: str) -> set[str]:
    """Return the modules that Python itself has imported when it reaches a program."""
    script = "import sys; print(*{name.split('.')[0] for name in sys.modules})"
    write(script, "probe.py")
    done = subprocess.run(
        [sys.executable, *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    Path("probe.py").unlink()
    return set(done.stdout.split())


def test_files_in_the_current_folder_pass_for_no_module() -> None:
    write_shadows(but=set())
    write(OWN, "own_optimizer.py")
    grid = write(f"{QUICK}{RUNS}")
    done = fmgrid("run", grid)
    assert done.returncode == 0, done.stderr
    done = fmgrid("report", "modellogs")
    assert done.returncode == 0, done.stderr
    assert [*Path("imported").iterdir()] == []


def test_nor_do_they_where_python_looks_there_first() -> None:
    known = imported_by_python("-m", "probe", PYTHONPATH=os.curdir)
    write_shadows(but=known)
    Path("fmgrid").rename("not_fmgrid")  # which Python itself would start
    write(OWN, "own_optimizer.py")
    grid = write(f"{QUICK}{RUNS}")
    done = subprocess.run(
        [sys.executable, "-m", "fmgrid", "run", grid],
        env={**os.environ, "PYTHONPATH": os.pathsep + os.curdir},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [*Path("imported").iterdir()] == []


def test_nor_do_they_in_workers_that_are_started_anew() -> None:
    known = imported_by_python("-c", "import probe")
    write_shadows(but={*known, "multiprocessing"})
    Path("multiprocessing.py").unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-P", "-c", SPAWNING], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("7\n", "")
    assert [*Path("imported").iterdir()] == []


@pytest.mark.parametrize("place", ["", ".", "./", "absolute", "a link"])
def test_the_current_folder_is_no_place_of_modules_by_any_name(
    place: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if place == "absolute":
        place = str(Path.cwd())
    elif place == "a link":
        link = tmp_path_factory.mktemp("links") / "link"
        link.symlink_to(Path.cwd())
        place = str(link)
    before = list(sys.path)
    monkeypatch.setattr(sys, "path", [place, *before])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([place, "/elsewhere"]))
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    shield()
    assert sys.path == before
    assert os.environ["PYTHONPATH"] == "/elsewhere"
    assert os.environ["PYTHONSAFEPATH"] == "1"


@pytest.mark.parametrize("module", [os, pytest], ids=["Python's own", "installed ones"])
def test_the_folder_of_installed_modules_stays_one(
    module: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    folder = Path(module.__file__).parent  # type: ignore[attr-defined]
    monkeypatch.chdir(folder if module is os else folder.parent)
    shield()
    assert str(Path.cwd()) in map(os.path.realpath, sys.path)


# What libraries read of the environment

NEEDLESS = {
    "LOGURU_LEVEL": "debug",
    "LOGURU_DIAGNOSE": "maybe",
    "LOGURU_AUTOINIT": "nonsense",
    "TORCH_LOGS": "nonsense",
    "TORCH_TRACE": "/nonexistent",
    "TORCHDYNAMO_DISABLE": "maybe",
    "PYTORCH_JIT": "maybe",
    "MKL_CBWR": "COMPATIBLE",
    "MKL_VERBOSE": "1",
    "OMP_DISPLAY_ENV": "TRUE",
    "OMP_NUM_THREADS": "4",
    "OMP_PLACES": "nonsense",
    "KMP_AFFINITY": "nonsense",
    "ONEDNN_DEFAULT_FPMATH_MODE": "BF16",
    "OPENBLAS_CORETYPE": "Prescott",
    "NPY_ENABLE_CPU_FEATURES": "nonsense",
    "NUMPY_MADVISE_HUGEPAGE": "maybe",
    "SCIPY_ARRAY_API": "1",
    "PANDAS_FUTURE_INFER_STRING": "1",
    "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "nonsense",
    "PYDANTIC_VALIDATE_CORE_SCHEMAS": "maybe",
    "TQDM_MININTERVAL": "often",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "SOURCE_DATE_EPOCH": "abc",
    "COLUMNS": "²",
    "LINES": "1000000000",
    "TERMINAL_WIDTH": "wide",
    "PYTHONINSPECT": "1",
    "PYTHONWARNINGS": "error",
    "PYTHONOPTIMIZE": "2",
    "PYTHONTRACEMALLOC": "5",
    "PYTHONWARNDEFAULTENCODING": "1",
}


@pytest.mark.parametrize("name", [name for name in NEEDLESS if not name.startswith("PYTHON")])
def test_a_variable_that_only_libraries_read_reaches_none(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    monkeypatch.setenv(name, NEEDLESS[name])
    shield()
    assert name not in os.environ


@pytest.mark.parametrize(
    "name", ["ATEN_CPU_CAPABILITY", "KMP_DUPLICATE_LIB_OK", "FMGRID_CACHE", "HOME", "NO_COLOR"]
)
def test_a_variable_that_a_user_needs_stays(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    monkeypatch.setenv(name, "kept")
    shield()
    assert os.environ[name] == "kept"


def test_the_environment_changes_no_result_and_no_exit_code(
    undisturbed: dict[str, object],
) -> None:
    # A file of matplotlib's settings that is none would end the report.
    Path("matplotlibrc").write_bytes(b"backend: \xff\xfe\n")
    grid = write(QUICK)
    done = fmgrid("run", grid, **NEEDLESS)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 5
    assert bits(Path("modellogs")) == undisturbed
    done = fmgrid("report", "modellogs", **NEEDLESS)
    assert (done.returncode, done.stderr.count("\n")) == (0, 1), done.stderr
    assert fmgrid("run", "nonesuch.toml", **NEEDLESS).returncode == 2
