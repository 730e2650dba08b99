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
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmgrid.errors import FmgridError, explain_refusal
from fmgrid.words import or_near_match, printable

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


def optimizer_signature(name: str) -> Signature:
    """Return what the optimizer takes; torch's own are looked up without importing torch.

    Raises `ComponentError`, with a near match, for a name that means no usable optimizer.
    """
    found = _signature_or_objection(name)
    if isinstance(found, str):
        raise ComponentError(found)
    return found


@cache  # of objections too: thousands of points may share a module that is slow to fail
def _signature_or_objection(name: str) -> Signature | str:
    try:
        signature = _signature(name)
    except ComponentError as error:
        return str(error)
    if signature.needs_closure:
        return f"{name} calls the loss several times a step, which the training loop does not offer"
    if not signature.takes("lr"):
        return f"{name} takes no lr, so that learning_rate would mean nothing"
    return signature


def _signature(name: str) -> Signature:
    if is_plugged_in(name):
        return _inspected(resolve_optimizer(name))
    sources = _torch_sources()
    if name not in sources:
        hint = or_near_match(name, sources, "it has")
        raise ComponentError(f'torch.optim has no optimizer "{printable(name, 80)}"{hint}')
    return _parsed(sources[name], name) or _inspected(resolve_optimizer(name))


def resolve_optimizer(name: str) -> "type[Optimizer]":
    """Return the class that *name* means. Imports torch.

    Modules of the current folder are found too, after all installed ones.
    Raises `ComponentError` where there is no such class.
    """
    module_name, colon, class_name = name.rpartition(":")
    module = _import(module_name if colon else "torch.optim")
    from torch import optim  # after a module that fails at once

    found = getattr(module, class_name, None)
    if isinstance(found, type) and issubclass(found, optim.Optimizer):
        return found
    classes = [
        each
        for each, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, optim.Optimizer)
    ]
    hint = or_near_match(class_name, classes, "it has")
    raise ComponentError(
        f"module {module_name or 'torch.optim'} has no optimizer class "
        f'"{printable(class_name, 80)}"{hint}'
    )


def is_plugged_in(name: str) -> bool:
    """Tell whether an optimizer is somebody else's code, neither fmgrid's nor torch's."""
    return ":" in name


def check_optimizer(name: str, learning_rate: float, args: Mapping[str, Any]) -> str | None:
    """Build the optimizer for a tiny network and return its objection, None if it has none.

    Only the class itself knows that momentum = -1 or betas = 0.9 will not do; some of torch's
    know no sooner than in the first step. A plugged-in one takes none here: what it raises in
    a step is that run's failure. Imports torch.
    """
    import torch

    build: Callable[..., Optimizer] = resolve_optimizer(name)
    with torch.random.fork_rng(devices=[]):
        network = torch.nn.Linear(2, 2)
        try:
            optimizer = build(network.parameters(), lr=learning_rate, **args)
            if not is_plugged_in(name):
                network(torch.ones(1, 2)).sum().backward()
                take_step(optimizer)
        except BaseException as error:
            if not is_plugged_in(name) and explain_refusal(error):
                raise  # the machine is to blame, and not the arguments
            return _told(error)  # a plugged-in class may even call sys.exit
    return None


def leave_out_compiler() -> None:
    """Let torch make an optimizer without importing its compiler, a third of torch's own import.

    `Optimizer.add_param_group` asks torch._dynamo on its first call how to keep itself from being
    compiled, and stores the answer. This is the answer for a process that compiles nothing. A
    torch that asks differently imports the compiler, as ever.
    """
    from torch.optim import Optimizer

    plain = getattr(Optimizer.add_param_group, "__wrapped__", None)
    if plain is not None:
        setattr(plain, "__dynamo_disable", plain)


def take_step(optimizer: "Optimizer") -> None:
    """Take a step of one of torch's optimizers without its hooks, which import the compiler."""
    import torch

    with torch.no_grad():
        inspect.unwrap(type(optimizer).step)(optimizer)


def _told(error: BaseException) -> str:
    """Say on one line what went wrong in somebody else's code."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")


def _import(module_name: str) -> Any:
    if not all(part.isidentifier() for part in module_name.split(".")):
        shown = printable(module_name, 80)
        raise ComponentError(f'"{shown}" is no module; write "package.module:Class"')
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        with redirect_stdout(sys.stderr):  # what a module prints is no data of ours
            return importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        missing = isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(
            f"{error.name}."
        )
        hint = "; install it, or run fmgrid in the folder that holds it" if missing else ""
        raise ComponentError(
            f"module {printable(module_name, 80)} cannot be imported ({_told(error)}){hint}"
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
