"""The experiments of grids, as the tests ask for them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fmgrid.grid import Definition, load_plan


def load_grids(paths: Sequence[Path], **options: Any) -> list[Definition]:
    return load_plan(paths, **options).definitions
