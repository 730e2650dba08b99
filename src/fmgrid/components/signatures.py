"""The arguments of a component, as far as they are known without building it.

Those of torch are read from torch's source text, because its import takes seconds and `plan`
should start at once. The installed source is the truth for the installed version.
"""

import ast
import importlib.util
import inspect
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from fmgrid.experiment import Record

# Names of the types that a value may have, as in {"bool"}; of each item where it is a list.
Accepted: TypeAlias = frozenset[str] | tuple[frozenset[str], ...]

# Of arguments of other packages that are true or false by default: they may take other values, too,
# but no text that says true or false.
_FLAG = frozenset({"bool", "others"})
_SCALARS = frozenset({"bool", "int", "float", "str"})
# What to write for what people write; "none" means that an argument keeps its default.
_FLAGS = {
    **dict.fromkeys(("true", "yes", "on", "1"), "true"),
    **dict.fromkeys(("false", "no", "off", "none", "0"), "false"),
}


class Signature(Record):
    """The arguments of a component, and those of its method `step`, if it has one."""

    arguments: frozenset[str] = frozenset()
    takes_any: bool = False  # it has **kwargs
    required: frozenset[str] = frozenset()  # arguments that have no default, where they are known
    step_needs: tuple[str, ...] = ()  # arguments that step() cannot be called without
    types: Mapping[str, Accepted] = {}  # of the arguments whose type is known

    def takes(self, argument: str) -> bool:
        """Return whether the component can be given *argument*."""
        return self.takes_any or argument in self.arguments

    def objection_to(self, argument: str, value: Any) -> str | None:
        """Return the objection to *value* with a remedy, None if the argument takes it.

        Python would take the text "False" for true, and give no error.
        """
        accepted = self.types.get(argument)
        if not isinstance(accepted, tuple):
            return _objection_to_scalar(value, accepted) if accepted else None
        if not isinstance(value, list) or len(value) != len(accepted):
            return f"is not a list of {len(accepted)} numbers"
        objections = map(_objection_to_scalar, value, accepted)
        return next(
            (f"holds a value that {objection}" for objection in objections if objection), None
        )

    def as_taken(self, argument: str, value: Any) -> Any:
        """Return *value* as torch takes it, 0.0 for 0 where that is a float."""
        accepted = self.types.get(argument, frozenset())
        if not isinstance(accepted, tuple):
            return _as_float(value, accepted)
        is_taken = isinstance(value, list) and len(value) == len(accepted)
        return list(map(_as_float, value, accepted)) if is_taken else value


def _as_float(value: Any, accepted: frozenset[str]) -> Any:
    """Return a whole number as a float where that is accepted, and whole numbers are not."""
    is_float = type(value) is int and "float" in accepted and "int" not in accepted
    return float(value) if is_float else value


def _objection_to_scalar(value: Any, accepted: frozenset[str]) -> str | None:
    if type(value).__name__ in accepted or (type(value) is int and "float" in accepted):
        return None
    if "bool" in accepted:
        flag = _FLAGS.get(str(value).strip().lower())
        if accepted == _FLAG and not (flag and isinstance(value, str)):
            return None
        return f"is not true or false; write {flag or 'true or false'}"
    if "str" in accepted:
        return "is not text in quotes"
    kind, number = "number" if "float" in accepted else "whole number", math.nan
    if isinstance(value, str | float):
        with suppress(ValueError):
            number = float(value)
    has_hint = number.is_integer() or (kind == "number" and math.isfinite(number))
    return f"is not a {kind}" + (f"; write {str(number).removesuffix('.0')}" if has_hint else "")


def inspected(component: Callable[..., Any]) -> Signature:
    """Return the signature that Python finds for a class or a function."""
    variable = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    parameters = list(inspect.signature(component).parameters.values())
    method = getattr(component, "step", None)
    step = list(inspect.signature(method).parameters.values())[1:] if method else []
    return Signature(
        arguments=frozenset(p.name for p in parameters if p.kind not in variable),
        takes_any=any(p.kind is p.VAR_KEYWORD for p in parameters),
        required=frozenset(
            p.name for p in parameters if p.default is p.empty and p.kind not in variable
        ),
        step_needs=tuple(
            p.name for p in step if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
        ),
        types={p.name: _FLAG for p in parameters if type(p.default) is bool},
    )


@cache
def torch_sources(package: str) -> dict[str, Path]:
    """Return each class that a package of torch offers, with the file that defines it."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        raise ImportError("torch is not installed")
    folder = Path(spec.origin).parent / package
    imports = (
        (alias.name, node.module.rpartition(".")[2])
        for node in ast.parse((folder / "__init__.py").read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    )
    return {name: folder / f"{module}.py" for name, module in imports if name[0].isupper()}


def parsed(source: Path, name: str) -> Signature | None:
    """Read the signature of a class from source text; None where it isn't written out there."""
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
    types = {node.arg: _accepted(node.annotation) for node in parameters if node.annotation}
    required = step.args[1 : len(step.args) - len(step.defaults)] if step else []
    return Signature(
        arguments=frozenset(node.arg for node in parameters) - {"self"},
        takes_any=init.kwarg is not None,
        step_needs=tuple(node.arg for node in required),
        types={argument: accepted for argument, accepted in types.items() if accepted},
    )


def _accepted(annotation: ast.expr) -> Accepted:
    """Return what an annotation such as "bool | None" or tuple[float, float] lets TOML say."""
    match annotation:
        case ast.Subscript(ast.Name("tuple" | "Tuple"), ast.Tuple(items)):
            return tuple(map(_scalars, items))
    return _scalars(annotation)


def _scalars(annotation: ast.expr) -> frozenset[str]:
    """Return the scalar types that an annotation names, such as "float" of "float | Tensor"."""
    names = {node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)}
    return frozenset(names & _SCALARS)
