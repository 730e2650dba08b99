"""A name in a grid -> the class that it means: torch's own, or anyone's as "package.module:Class".

What a torch optimizer takes is read from torch's source text, because importing torch costs
seconds and a plan should not: the installed source is the truth for the installed version. A
class of another package is imported, since nothing less tells what it takes.
"""

import ast
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmgrid.errors import FmgridError
from fmgrid.words import or_near_match

if TYPE_CHECKING:
    from torch.optim import Optimizer

# Settings of an experiment, or fmgrid's own business.
RESERVED_ARGUMENTS = {"lr": "it is the setting learning_rate", "params": "it is the network's"}


class ComponentError(FmgridError):
    """A name that means no usable class."""

    exit_code = 2


@dataclass(frozen=True)
class Signature:
    """What can be said of an optimizer without building one."""

    arguments: frozenset[str]
    takes_any: bool = False  # it has **kwargs
    needs_closure: bool = False  # step() cannot be called without one

    def takes(self, argument: str) -> bool:
        """Return whether the optimizer can be given *argument*."""
        return self.takes_any or argument in self.arguments


@cache
def optimizer_signature(name: str) -> Signature:
    """Return what the optimizer takes; torch's own are looked up without importing torch.

    Raises `ComponentError`, with a near match, for a name that means no usable optimizer.
    """
    if ":" in name:
        signature = _inspected(resolve_optimizer(name))
    else:
        sources = _torch_sources()
        if name not in sources:
            hint = or_near_match(name, sources, "it has")
            raise ComponentError(f'torch.optim has no optimizer "{name}"{hint}')
        signature = _parsed(sources[name], name) or _inspected(resolve_optimizer(name))
    if signature.needs_closure:
        raise ComponentError(
            f"{name} calls the loss several times a step, which the training loop does not offer"
        )
    if "lr" not in signature.arguments and not signature.takes_any:
        raise ComponentError(f"{name} takes no lr, so that learning_rate would mean nothing")
    return signature


def resolve_optimizer(name: str) -> "type[Optimizer]":
    """Return the class that *name* means. Imports torch.

    Modules of the current folder are found too, after all installed ones.
    Raises `ComponentError` where there is no such class.
    """
    from torch import optim

    module_name, _, class_name = name.rpartition(":")
    module = _import(module_name) if module_name else optim
    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and issubclass(found, optim.Optimizer)):
        raise ComponentError(f"{module.__name__} has no optimizer class {class_name!r}")
    return found


def check_optimizer(name: str, learning_rate: float, args: Mapping[str, Any]) -> str | None:
    """Build the optimizer for a tiny network and return its objection, None if it has none.

    Only the class itself knows that momentum = -1 or betas = 0.9 will not do. Imports torch.
    """
    import torch

    build: Callable[..., Optimizer] = resolve_optimizer(name)
    try:
        build(torch.nn.Linear(2, 2).parameters(), lr=learning_rate, **args)
    except Exception as error:  # noqa: BLE001 - any class may be plugged in, and raise anything
        return f"{type(error).__name__}: {error}"
    return None


def _import(module_name: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        return importlib.import_module(module_name)
    except Exception as error:
        raise ComponentError(
            f"module {module_name} cannot be imported ({type(error).__name__}: {error})"
        ) from error


def _inspected(optimizer: "type[Optimizer]") -> Signature:
    parameters = list(inspect.signature(optimizer).parameters.values())
    step = list(inspect.signature(optimizer.step).parameters.values())[1:]
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return Signature(
        frozenset(p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL))
        - {"params"},
        takes_any=any(p.kind is p.VAR_KEYWORD for p in parameters),
        needs_closure=any(p.default is p.empty and p.kind is positional for p in step),
    )


@cache
def _torch_sources() -> dict[str, Path]:
    """Return each optimizer of torch.optim with the file that defines it."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        raise ComponentError("torch is not installed")
    folder = Path(spec.origin).parent / "optim"
    imports = (
        (alias.name, node.module.rpartition(".")[2])
        for node in ast.parse((folder / "__init__.py").read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    )
    return {
        name: folder / f"{module}.py"
        for name, module in imports
        if name[0].isupper() and name != "Optimizer"
    }


def _parsed(source: Path, name: str) -> Signature | None:
    """Read the signature from source text; None where it isn't written out there."""
    body = ast.parse(source.read_text(encoding="utf-8")).body
    methods = {
        method.name: method.args
        for node in body
        if isinstance(node, ast.ClassDef) and node.name == name
        for method in node.body
        if isinstance(method, ast.FunctionDef)
    }
    init, step = methods.get("__init__"), methods.get("step")
    if init is None:
        return None
    arguments = {argument.arg for argument in (*init.posonlyargs, *init.args, *init.kwonlyargs)}
    return Signature(
        frozenset(arguments - {"self", "params"}),
        takes_any=init.kwarg is not None,
        needs_closure=step is not None and len(step.args) - 1 > len(step.defaults),
    )
