"""The arguments of the built-in networks: one table for each, with defaults and rules.

torch is not imported: `plan` finds every mistake.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fmgrid.components.signatures import torch_sources
from fmgrid.experiment import MOST_LAYERS
from fmgrid.settings import show_toml
from fmgrid.words import near_match

INITIALIZATIONS = (
    *("default", "xavier_uniform", "xavier_normal"),
    *("kaiming_uniform", "kaiming_normal", "orthogonal"),
)
# Of torch.nn's activations, those that change the number of outputs or need arguments.
_NO_ACTIVATIONS = {
    *("GLU", "LogSoftmax", "MultiheadAttention", "Softmax", "Softmax2d", "Softmin", "Threshold"),
}


@dataclass(frozen=True)
class Argument:
    """One entry of a table of arguments."""

    default: Any
    expects: str  # what to write, for error messages
    accepts: Callable[[Any], bool] = lambda _: False
    choices: Callable[[], Collection[str]] = tuple  # the words that it accepts

    def objection_to(self, value: Any) -> str | None:
        """Return the objection to a value with a remedy, None if the argument takes it."""
        if self.accepts(value) or (isinstance(value, str) and value in self.choices()):
            return None
        near = near_match(value, self.choices()) if isinstance(value, str) else None
        hint = f"; did you mean {near}?" if near else ""
        return f"{show_toml(value)} is not {self.expects}{hint}"


def of_choices(*choices: str) -> Argument:
    """Return an argument that is one of several words, of which the first is the default."""
    return Argument(choices[0], " or ".join(map(show_toml, choices)), choices=lambda: choices)


def each_or_list(least: int, default: int) -> Argument:
    """Return an argument that is a whole number from *least*, or a list of one for each block."""
    expects = f"a whole number from {least}, or a list of one for each entry of channels"

    def accepts(value: Any) -> bool:
        return _is_whole(value, least) or _is_list(value, lambda item: _is_whole(item, least))

    return Argument(default, expects, accepts)


def _is_whole(value: Any, least: int = 1) -> bool:
    return type(value) is int and least <= value < 2**20


def _is_list(value: Any, accepts: Callable[[Any], bool]) -> bool:
    is_short = isinstance(value, list | tuple) and 0 < len(value) <= MOST_LAYERS
    return is_short and all(map(accepts, value))


def _is_share(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 1


def _dropout(layers: str) -> Argument:
    return Argument(
        0.0,
        f"a number from 0 to below 1, or a list of one for each {layers}",
        lambda value: _is_share(value) or _is_list(value, _is_share),
    )


def _activations() -> Collection[str]:
    """Return the names of torch.nn's activations, read from its source."""
    sources = torch_sources("nn/modules")
    return {name for name, path in sources.items() if path.stem == "activation"} - _NO_ACTIVATIONS


_ACTIVATION = Argument("ReLU", 'an activation of torch.nn such as "ReLU"', choices=_activations)
_INITIALIZATION = of_choices(*INITIALIZATIONS)
MLP_ARGUMENTS: Mapping[str, Argument] = {
    "dropout": _dropout("hidden layer"),
    "normalization": of_choices("none", "batch", "layer"),
    "activation": _ACTIVATION,
    "initialization": _INITIALIZATION,
}
CNN_ARGUMENTS: Mapping[str, Argument] = {
    "channels": Argument(
        (16, 32),
        "a list of whole numbers from 1, the channels of each convolution",
        lambda value: _is_list(value, _is_whole),
    ),
    "kernel_size": each_or_list(1, 3),
    "stride": each_or_list(1, 1),
    "padding": Argument(
        "same",
        '"same", which is half of the kernel, or a whole number from 0, or a list of such numbers',
        each_or_list(0, 0).accepts,
        lambda: ("same",),
    ),
    "pooling": each_or_list(1, 2),
    "pooling_method": of_choices("max", "average"),
    "global_pooling": of_choices("none", "max", "average"),
    "dropout": _dropout("convolution and hidden layer"),
    "normalization": of_choices("batch", "none", "layer", "instance"),
    "activation": _ACTIVATION,
    "initialization": _INITIALIZATION,
}


def with_defaults(table: Mapping[str, Argument], args: Mapping[str, Any]) -> dict[str, Any]:
    """Return all arguments of a table, by name."""
    return {**{name: argument.default for name, argument in table.items()}, **args}


def for_each(value: Any, count: int) -> Sequence[Any]:
    """Return a list of *count* values of an argument that is one value or a list."""
    return tuple(value) if isinstance(value, list | tuple) else (value,) * count
