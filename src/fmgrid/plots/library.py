"""matplotlib, imported in silence and with its own defaults, before any module draws with it.

It looks for a matplotlibrc in the current folder first, and fails on one that it cannot read.
Where it cannot write to the home, it says at length where its cache is: nobody can act on it.
"""

import logging
from contextlib import chdir, nullcontext
from importlib.util import find_spec
from pathlib import Path

logging.getLogger("matplotlib").setLevel(logging.ERROR)
_spec = find_spec("matplotlib")
_data = Path(_spec.origin).parent / "mpl-data" if _spec and _spec.origin else Path()
with chdir(_data) if _data.is_dir() else nullcontext():
    import matplotlib  # noqa: F401
