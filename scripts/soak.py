"""Disturb fmgrid for a while, and check after every fault that nothing is lost.

    python scripts/soak.py --minutes 5           # prints what happened
    python scripts/soak.py --minutes 5 --write   # and puts it into docs/reliability.md

A round is one to three random faults, then the command undisturbed: it must end with every run
complete and the table of an undisturbed folder, to the byte. The first broken promise ends the
soak with its folder kept; the same --seed plays the same faults, as far as the clock lets it.
"""

import argparse
import os
import platform
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from random import Random

from faults import EDITED, INTERRUPTED, SIGNALS, World
from marks import ROOT, write_marked

PAGE = ROOT / "docs" / "reliability.md"
LATEST = 3.0  # seconds after its start at which a command is disturbed


def main() -> None:
    """Soak and tell."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="write docs/reliability.md")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="fmgrid-soak-"))
    told = soak(options.minutes * 60, options.seed, folder)
    shutil.rmtree(folder)
    command = f"python scripts/soak.py --minutes {options.minutes:g} --seed {options.seed}"
    page = describe(command, told)
    print(page)
    if options.write:
        write_marked(PAGE, "soak.py", page)


def soak(seconds: float, seed: int, folder: Path) -> Counter[str]:
    """Disturb the command for so long; return how often what happened.

    Raises `BrokenPromiseError` at the first promise that is broken.
    """
    random = Random(seed)
    undisturbed = World(folder / "undisturbed").resume()
    told: Counter[str] = Counter({"runs lost": 0})
    world = World(folder / "disturbed")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for _ in range(random.randint(1, 3)):
            told[disturb(world, random)] += 1
        table = world.resume()
        told["rounds"] += 1
        if table != undisturbed:
            raise SystemExit(f"another table than undisturbed, in {folder}:\n{table}")
        told["runs compared"] += len(table.splitlines())
    return told


def disturb(world: World, random: Random) -> str:
    """Let one thing happen; return what."""
    moment = random.uniform(0.1, LATEST)

    def kill_parent() -> str:
        ended = world.kill_parent(moment) is not None
        return "commands left alone" if ended else "commands killed"

    def kill_worker() -> str:
        killed = world.kill_worker(moment, random)
        return "workers killed" if killed else "commands left alone"

    def interrupt() -> str:
        twice = random.choice([True, False, False])
        code = world.interrupt(moment, random.choice(SIGNALS), twice=twice)
        return "commands interrupted" if code == INTERRUPTED else "commands left alone"

    def damage() -> str:
        return "files damaged" if world.damage(random) else "empty folders"

    def delete() -> str:
        return "files or folders deleted" if world.delete(random) else "empty folders"

    def edit() -> str:
        world.edit(EDITED)
        world.expect(world.start("--replace"), 0)
        return "grids edited"

    def without_room() -> str:
        world.run_without_room()
        return "commands without room"

    def two_at_once() -> str:
        world.two_at_once()
        return "commands started twice"

    faults: dict[Callable[[], str], int] = {  # with how often
        kill_parent: 4,
        kill_worker: 4,
        interrupt: 3,
        damage: 2,
        delete: 1,
        edit: 1,
        two_at_once: 1,
        without_room: 1,
    }
    (fault,) = random.choices(list(faults), list(faults.values()))
    if fault not in (damage, delete, edit):
        world.forget(random)
    return fault()


def describe(command: str, told: Counter[str]) -> str:
    """Return what happened, as Markdown."""
    rows = [f"| {name} | {count} |" for name, count in sorted(told.items(), key=_order)]
    where = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    versions = f"fmgrid {version('fmgrid')}, torch {version('torch')}"
    return (
        f"`{command}` wrote this on {datetime.now(UTC):%d %B %Y}: {where}, {versions}.\n\n"
        + "\n".join(["| what | how often |", "| --- | ---: |", *rows])
        + "\n"
    )


def _order(item: tuple[str, int]) -> tuple[bool, int]:
    return item[0] == "runs lost", -item[1]


if __name__ == "__main__":
    sys.exit(main())
