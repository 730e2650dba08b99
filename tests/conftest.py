"""The command that is tested, and the data sets, prepared once per session.

The full one comes from wherever `prepare` finds it, downloads included, and stays in
FMGRID_CACHE or a folder of the user's own among the temporary ones, for the next session.
Properties are tried on the same examples in every session, so that a commit passes or fails for
good; `pytest --hypothesis-profile explore` looks for new ones.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from command import Call, kill_started
from fmgrid.cli import app
from fmgrid.data import cache as data

# Read at once: tests set the variable to folders of their own.
CACHE = os.environ.get("FMGRID_CACHE") or str(
    Path(tempfile.gettempdir(), f"fmgrid-tests-{os.getuid()}")
)

settings.register_profile("explore", max_examples=1000, deadline=None)  # a slow disk is no failure
settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.load_profile("repeatable")

# The fmgrid of the environment that runs the tests, whether that is activated or not.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


@pytest.fixture(scope="session")
def real_data() -> data.Prepared:
    """All of Fashion-MNIST."""
    return _prepare("fashion-mnist")


@pytest.fixture(scope="session")
def sample_data() -> data.Prepared:
    """The sample that comes with fmgrid."""
    return _prepare("fashion-mnist-sample")


@pytest.fixture
def folder(sample_data: data.Prepared) -> Path:
    """The folder of the sample's arrays."""
    return sample_data.folder


@pytest.fixture
def one_thread() -> None:
    """As in a worker: with another number, sums are rounded in another order."""
    import torch

    torch.set_num_threads(1)


def _prepare(dataset: str) -> data.Prepared:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FMGRID_CACHE", CACHE)
        return data.prepare(dataset)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work in an empty folder, with the tests' cache; leave no command running."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FMGRID_CACHE", CACHE)
    monkeypatch.delenv("FMGRID_DATA", raising=False)
    yield
    kill_started()


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a command in this process; return its exit code, its stdout and its stderr."""

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            app([*map(str, words)])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run
