"""A name in a grid -> the class that it means: torch's own, or anyone's as "package.module:Class".

What a torch optimizer takes is read from torch's source text, because importing torch costs
seconds and a plan should not: the installed source is the truth for the installed version. A
class of another package is imported, since nothing less tells what it takes: in a process of its
own, because nobody knows what the import does to a process.
"""

import ast
import importlib
import importlib.util
import inspect
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

from fmgrid.errors import FmgridError, text_of
from fmgrid.experiment import Experiment, typed
from fmgrid.system.apart import NoAnswerError, ask
from fmgrid.words import or_near_match, printable

if TYPE_CHECKING:
    from torch.optim import Optimizer

# Settings of an experiment, or fmgrid's own business.
RESERVED_ARGUMENTS = {"lr": "it is the setting learning_rate", "params": "it is the network's"}


class ComponentError(FmgridError):
    """A name that means no usable class."""

    exit_code = 2


# Names of the types that a value may have, as in {"bool"}; of each item where it is a list.
Accepted: TypeAlias = frozenset[str] | tuple[frozenset[str], ...]

_IMPORT_SECONDS = 60.0  # for a module and torch, whose own import may take 20 from a slow disk
_LONGEST_REASON = 300  # characters
_TORCHS = "torch.optim:"
_INSTALLED = frozenset({"site-packages", "dist-packages"})  # folders of installed code
_SCALARS = frozenset({"bool", "int", "float", "str"})
# What people write for true and false; "none" means that an argument keeps its default.
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "none", "0"})


@dataclass(frozen=True)
class Signature:
    """What can be said of an optimizer without building one."""

    arguments: frozenset[str]
    takes_any: bool = False  # it has **kwargs
    needs_closure: bool = False  # step() cannot be called without one
    # Of the arguments whose type is known: of torch's own all, of others those that are true or
    # false by default, since what another package's default says of its type is a guess.
    types: Mapping[str, Accepted] = field(default_factory=dict)

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
    if not _is_torchs(name):
        return _plugged_in(name)
    sources = _torch_sources()
    name = name.removeprefix(_TORCHS)
    if name not in sources:
        hint = or_near_match(name, sources, "it has")
        raise ComponentError(f'torch.optim has no optimizer "{printable(name, 80)}"{hint}')
    return _parsed(sources[name], name) or _inspected(resolve_optimizer(name))


def objection_to_value(name: str, argument: str, value: Any) -> str | None:
    """Return why an optimizer cannot take *value* and what to write, None if it can.

    Python would take the text "False" for true, and give no error.
    """
    accepted = optimizer_signature(name).types.get(argument)
    if accepted is None:
        return None
    if not _is_torchs(name):
        return _objection_to_text(value) if isinstance(value, str) else None
    if not isinstance(accepted, tuple):
        return _objection_to_scalar(value, accepted)
    if not isinstance(value, list) or len(value) != len(accepted):
        return f"is not a list of {len(accepted)} numbers"
    wrong = (_objection_to_scalar(*pair) for pair in zip(value, accepted, strict=True))
    return next((f"holds a value that {wrong}" for wrong in wrong if wrong), None)


def _objection_to_scalar(value: Any, accepted: frozenset[str]) -> str | None:
    if type(value).__name__ in accepted or (type(value) is int and "float" in accepted):
        return None
    if "bool" in accepted:
        return _objection_to_text(str(value)) or "is not true or false; write true or false"
    if "str" in accepted:
        return "is not text in quotes"
    kind = "number" if "float" in accepted else "whole number"
    number = _to_number(value, kind)
    return f"is not a {kind}" + (f"; write {number}" if number else "")


def _objection_to_text(text: str) -> str | None:
    """Return what to write instead of a text that says true or false."""
    said = text.strip().lower()
    if said not in _TRUE | _FALSE:
        return None
    return f"is not true or false; write {'true' if said in _TRUE else 'false'}"


def _to_number(value: Any, kind: str) -> str | None:
    """Return the number that a value says without being one, None where it says none."""
    try:
        number = float(value) if isinstance(value, str | float) else math.nan
    except ValueError:
        return None
    if kind == "number":
        return str(number).removesuffix(".0") if math.isfinite(number) else None
    return str(int(number)) if number.is_integer() else None


def as_taken(experiment: Experiment) -> Experiment:
    """Return the experiment with its arguments as the optimizer takes them.

    Where torch takes a float, 0 becomes 0.0: both train to the same bits.
    """
    args = experiment.optimizer_args
    taken = setting_as_taken(experiment.optimizer, ["optimizer_args"], args)
    if typed(taken) == typed(args):
        return experiment
    return experiment.model_copy(update={"optimizer_args": taken})


def setting_as_taken(optimizer: str, keys: Sequence[str], value: Any) -> Any:
    """Return *value* as an experiment with this optimizer holds it under *keys*."""
    match keys:
        case ["learning_rate"]:
            return _as_float(value, frozenset({"float"}))
        case ["optimizer_args", argument]:
            return value_as_taken(optimizer, argument, value)
        case ["optimizer_args"] if isinstance(value, dict):
            return {key: value_as_taken(optimizer, key, item) for key, item in value.items()}
        case ["optimizer_args", *_]:
            return value
    return _as_whole(value)


def _as_whole(value: Any) -> Any:
    """Return 3 for 3.0: all numbers of fmgrid's own settings but the learning rate are whole."""
    if isinstance(value, list | tuple):
        return tuple(map(_as_whole, value))
    return int(value) if isinstance(value, float) and value.is_integer() else value


def value_as_taken(name: str, argument: str, value: Any) -> Any:
    """Return an argument's value as one of torch's optimizers takes it; others know better."""
    if not _is_torchs(name):
        return value
    found = _signature_or_objection(name)
    accepted = found.types.get(argument) if isinstance(found, Signature) else None
    if isinstance(accepted, tuple) and isinstance(value, list) and len(value) == len(accepted):
        return [_as_float(*pair) for pair in zip(value, accepted, strict=True)]
    return _as_float(value, accepted) if isinstance(accepted, frozenset) else value


def _as_float(value: Any, accepted: frozenset[str]) -> Any:
    is_float = type(value) is int and "float" in accepted and "int" not in accepted
    return float(value) if is_float else value


def training_arguments(name: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the optimizer's arguments; torch's own are asked for their fused step.

    It takes half the time of the loop that is torch's default, and rounds differently.
    """
    excluding = {"fused", "foreach", "differentiable"} & args.keys()
    if not is_plugged_in(name) and not excluding and optimizer_signature(name).takes("fused"):
        return {**args, "fused": True}
    return dict(args)


def resolve_optimizer(name: str) -> "type[Optimizer]":
    """Return the class that *name* means. Imports torch, and somebody else's module.

    For a process that may be spoiled. Modules of the current folder are found too, after all
    installed ones. Raises `ComponentError` where there is no such class.
    """
    module_name, colon, class_name = name.rpartition(":")
    module = _import(module_name if colon else "torch.optim")
    found = getattr(module, class_name, None)
    if _is_optimizer(found):
        return found
    raise _no_class(module_name or "torch.optim", class_name, _optimizers_of(module))


def _no_class(module_name: str, class_name: str, classes: Iterable[str]) -> ComponentError:
    hint = or_near_match(class_name, list(classes), "it has")
    return ComponentError(
        f'module {module_name} has no optimizer class "{printable(class_name, 80)}"{hint}'
        f"{_hint_at_hidden_file(module_name)}"
    )


def _hint_at_hidden_file(module_name: str) -> str:
    """Say that an installed module hides one of the current folder, "" if it hides none."""
    name = module_name.partition(".")[0]
    place = next((path for path in (Path(f"{name}.py"), Path(name)) if path.exists()), None)
    if place is None or not (name in sys.stdlib_module_names or PathFinder.find_spec(name)):
        return ""
    return f"; an installed module has that name, so rename {place} of the current folder"


@dataclass(frozen=True)
class _Module:
    """What another process has found in somebody else's module."""

    classes: Mapping[str, Signature | str]  # its optimizers: what each takes, or an objection
    makes_others: bool  # when it is asked for their names


def _plugged_in(name: str) -> Signature:
    """Return what somebody else's optimizer takes."""
    module_name, _, class_name = name.rpartition(":")
    _check_module_name(module_name)
    module = _ask(module_name)
    if isinstance(module, _Module) and module.makes_others and class_name not in module.classes:
        module = _ask(module_name, class_name)
    if isinstance(module, str):
        raise ComponentError(module)
    found = module.classes.get(class_name)
    if found is None:
        raise _no_class(module_name, class_name, module.classes)
    if isinstance(found, str):
        raise ComponentError(f"{printable(name, 80)} cannot be inspected ({found})")
    return found


@cache  # one process for all optimizers of a module
def _ask(module_name: str, class_name: str | None = None) -> _Module | str:
    """Return what another process finds in the module when it imports it, or its objection."""
    try:
        told = ask("fmgrid.components:inspect_module", [module_name, class_name], _IMPORT_SECONDS)
        if isinstance(told, str):
            return printable(told)
        classes = {each: _to_signature(fields) for each, fields in told["classes"].items()}
        return _Module(classes, bool(told["makes_others"]))
    except NoAnswerError as error:
        reason = str(error)
    except (AttributeError, KeyError, TypeError):
        reason = NoAnswerError.OTHER
    return f"module {printable(module_name, 80)} cannot be imported ({reason})"


def inspect_module(request: Sequence[str | None]) -> dict[str, Any] | str:
    """Return what `_Module` holds as values that JSON has, or an objection."""
    module_name, class_name = request
    try:
        module = _import(str(module_name))
        classes = _optimizers_of(module)
        if class_name is not None and _is_optimizer(made := getattr(module, class_name, None)):
            classes[class_name] = made
        makes_others = hasattr(module, "__getattr__")
    except ComponentError as error:
        return str(error)
    except BaseException as error:  # noqa: BLE001 - a module may be any object
        return f"module {module_name} cannot be inspected ({on_one_line(error)})"
    fields = {each: _to_fields(optimizer) for each, optimizer in classes.items()}
    return {"classes": fields, "makes_others": makes_others}


def _to_fields(optimizer: "type[Optimizer]") -> dict[str, Any] | str:
    """Return an optimizer's signature as values that JSON has."""
    try:
        signature = _inspected(optimizer)
    except BaseException as error:  # noqa: BLE001 - a metaclass may do anything
        return on_one_line(error)
    return {
        "arguments": sorted(signature.arguments),
        "takes_any": signature.takes_any,
        "needs_closure": signature.needs_closure,
        "types": {argument: sorted(types) for argument, types in signature.types.items()},
    }


def _to_signature(fields: Mapping[str, Any] | str) -> Signature | str:
    """Return the signature that `_to_fields` has taken apart."""
    if isinstance(fields, str):
        return printable(fields)
    return Signature(
        frozenset(map(str, fields["arguments"])),
        takes_any=bool(fields["takes_any"]),
        needs_closure=bool(fields["needs_closure"]),
        types={argument: frozenset(types) for argument, types in fields["types"].items()},
    )


def _optimizers_of(module: Any) -> "dict[str, type[Optimizer]]":
    """Return the optimizer classes that a module has, its own and those that it imports."""
    return {each: value for each, value in vars(module).items() if _is_optimizer(value)}


def _is_optimizer(value: Any) -> "TypeGuard[type[Optimizer]]":
    # Where torch is not imported there are none, and its import would take seconds.
    optim = sys.modules.get("torch.optim")
    return optim is not None and isinstance(value, type) and issubclass(value, optim.Optimizer)


def is_plugged_in(name: str) -> bool:
    """Tell whether an optimizer is somebody else's code, neither fmgrid's nor torch's."""
    return ":" in name


def _is_torchs(name: str) -> bool:
    """Tell whether torch's source text says what an optimizer takes, by either of its names."""
    return not is_plugged_in(name) or name.removeprefix(_TORCHS) in _torch_sources()


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


def on_one_line(error: BaseException) -> str:
    """Say on one line what went wrong in somebody else's code."""
    words = text_of(error)[:_LONGEST_REASON].split()
    return f"{type(error).__name__}: {' '.join(words)}".removesuffix(": ")


def _check_module_name(module_name: str) -> None:
    if not all(part.isidentifier() for part in module_name.split(".")):
        shown = printable(module_name, 80)
        raise ComponentError(f'"{shown}" is no module; write "package.module:Class"')


@dataclass(frozen=True)
class _LastPlace:
    """Finds the modules of a folder where nothing else has found them.

    At the end of sys.path, a google.py would come before an installed google without __init__.py.
    Installed code tries modules that need not be there, such as colorama: not those of the folder.
    """

    folder: str

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return where the module is, for Python's import."""
        # Python tries modules of its own that other systems have: a _winapi.py is none of them.
        if path is not None or name in sys.stdlib_module_names:
            return None
        if _is_asked_by_installed_code(sys._getframe(1)):
            return None
        return PathFinder.find_spec(name, [self.folder], target)


def _is_asked_by_installed_code(frame: FrameType | None) -> bool:
    """Tell whether the first caller outside importlib is installed, and not this module."""
    while frame and str(frame.f_globals.get("__name__")).partition(".")[0] == "importlib":
        frame = frame.f_back
    if frame is None or frame.f_code.co_filename == __file__:
        return False
    return not _INSTALLED.isdisjoint(Path(frame.f_code.co_filename).parts)


def _import(module_name: str) -> Any:
    _check_module_name(module_name)
    last = _LastPlace(str(Path.cwd()))
    if last not in sys.meta_path:
        sys.meta_path.append(last)
    try:
        return importlib.import_module(module_name)
    except BaseException as error:  # somebody else's module may raise anything
        missing = isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(
            f"{error.name}."
        )
        hint = "; install it, or run fmgrid in the folder that holds it" if missing else ""
        raise ComponentError(
            f"module {printable(module_name, 80)} cannot be imported ({on_one_line(error)}){hint}"
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
        types={p.name: frozenset({"bool"}) for p in parameters if type(p.default) is bool},
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
    parameters = (*init.posonlyargs, *init.args, *init.kwonlyargs)
    arguments = [each for each in parameters if each.arg not in ("self", "params")]
    types = {each.arg: _accepted(each.annotation) for each in arguments}
    return Signature(
        frozenset(types),
        takes_any=init.kwarg is not None,
        needs_closure=step is not None and len(step.args) - 1 > len(step.defaults),
        types={argument: accepted for argument, accepted in types.items() if accepted},
    )


def _accepted(annotation: ast.expr | None) -> Accepted | None:
    """Return what an annotation such as "bool | None" or Tuple[float, float] lets TOML say."""
    match annotation:
        case ast.Subscript(ast.Name("tuple" | "Tuple"), ast.Tuple(items)):
            return tuple(_scalars(item) for item in items)
        case ast.Subscript(ast.Name("Optional"), inner):
            return _accepted(inner)
    return None if annotation is None else _scalars(annotation)


def _scalars(annotation: ast.expr) -> frozenset[str]:
    """Return the scalar types that an annotation names, such as "float" of "float | Tensor"."""
    names = {node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)}
    return frozenset(names & _SCALARS)
