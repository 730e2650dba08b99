"""depth, units, units1, units2, ... -> the units of the hidden layers."""

from collections.abc import Container, Sequence
from typing import Any

from fmgrid.experiment import MOST_LAYERS
from fmgrid.grid.blocks import is_whole
from fmgrid.settings import Keys, about_width, layer_of, show_toml


def with_width(
    layers: Sequence[Any], name: str, value: Any, others: Container[Keys]
) -> Sequence[Any]:
    """Return the units by layer after depth, units, or units1 and so on was set.

    None stands for a layer that is left out. *others* are all settings of the experiment. Raises
    `ValueError` for a value that none of them can have.
    """
    if not is_whole(value, 1 if name == "units" else 0):
        hint = "; an axis stands in [grid]" if isinstance(value, list) else ""
        raise ValueError(f"{show_toml(value)} is not {about_width(name).expects}{hint}")
    layer = layer_of(name)
    if (size := layer + 1 if layer is not None else value) > MOST_LAYERS and name != "units":
        raise ValueError(f"has {size:,} layers; write at most {MOST_LAYERS:,}")
    if layer is not None:
        return _with_layer(layers, layer, value, others)
    present = [units for units in layers if units is not None]
    if name == "units":
        return [value] * len(present)
    if len({*present}) == 1:
        return [present[0]] * value
    if ("units",) in others:  # which comes after depth, and sets all of these
        return [1] * value
    why = f"those of {show_toml(present)} differ" if present else "the network has none"
    raise ValueError(f"takes the width that all layers share, and {why}; write units, too")


def _with_layer(
    layers: Sequence[Any], layer: int, units: int, others: Container[Keys]
) -> Sequence[Any]:
    missing = [at for at in range(len(layers), layer) if (f"units{at + 1}",) not in others]
    if units and missing:
        first = f"units{missing[0] + 1}"
        raise ValueError(f"comes after {first}, which is not set; write {first}, or 0 for it")
    padded = [*layers, *[None] * (layer + 1 - len(layers))]
    return [*padded[:layer], units or None, *padded[layer + 1 :]]
