"""Any sequence of faults, played by hypothesis; then the command undisturbed, and the oracle."""

import shutil
import tempfile
from functools import cache
from pathlib import Path
from random import Random

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from conftest import CACHE
from faults import EDITED, SIGNALS, World
from soak import soak

moments = st.floats(0.1, 4.0)  # seconds after a command's start
choices = st.integers(0, 2**32).map(Random)


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FMGRID_CACHE", CACHE)


@cache
def undisturbed() -> str:
    """Return the table of a folder that nothing ever happened to."""
    with tempfile.TemporaryDirectory() as folder:
        return World(Path(folder)).resume()


class Disturbed(RuleBasedStateMachine):
    """A folder, and everything that may happen to it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.world = World(self.folder)

    @rule(seconds=moments)
    def kill_the_command(self, seconds: float) -> None:
        self.world.kill_parent(seconds)

    @rule(seconds=moments, random=choices)
    def kill_a_worker(self, seconds: float, random: Random) -> None:
        self.world.kill_worker(seconds, random)

    @rule(seconds=moments, number=st.sampled_from(SIGNALS), twice=st.booleans())
    def interrupt(self, seconds: float, number: int, twice: bool) -> None:
        self.world.interrupt(seconds, number, twice=twice)

    @rule(random=choices)
    def damage_a_file(self, random: Random) -> None:
        self.world.damage(random)

    @rule(random=choices)
    def delete_a_file_or_folder(self, random: Random) -> None:
        self.world.delete(random)

    @rule()
    def run_with_no_room(self) -> None:
        self.world.run_without_room()

    @rule()
    def edit_the_grid_and_run(self) -> None:
        self.world.edit(EDITED)
        self.world.expect(self.world.start("--replace"), 0)

    @rule()
    def run_twice_at_once(self) -> None:
        self.world.two_at_once()

    def teardown(self) -> None:
        assert self.world.resume() == undisturbed()
        shutil.rmtree(self.folder)


TestDisturbed = Disturbed.TestCase
TestDisturbed.settings = settings(
    max_examples=5,
    stateful_step_count=5,
    phases=(Phase.explicit, Phase.generate),  # each example takes a quarter of a minute
)


def test_a_short_soak_loses_nothing(tmp_path: Path) -> None:
    told = soak(20.0, 1, tmp_path)
    assert told["rounds"] > 0
    assert told["runs lost"] == 0
