"""The kind "optimizer": the classes of torch.optim, and classes derived from its `Optimizer`."""

import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from fmgrid.components.kinds import Component, Kind, is_plugged_in
from fmgrid.components.signatures import Signature, inspected, parsed, torch_sources
from fmgrid.experiment import Experiment

if TYPE_CHECKING:
    from torch.nn import Parameter
    from torch.optim import Optimizer


def build(optimizer: Component, parameters: "Iterable[Parameter]") -> "Optimizer":
    """Return an optimizer of these parameters."""
    leave_out_compiler()
    name, args = optimizer
    options = dict(args)
    # The fused step of torch's own takes half the time of its default loop, and rounds differently.
    is_excluded = is_plugged_in(name) or {"fused", "foreach", "differentiable"} & args.keys()
    if not is_excluded and OPTIMIZER.signature(name).takes("fused"):
        options["fused"] = True
    make: Callable[..., Optimizer] = OPTIMIZER.load(name)
    return make(parameters, **options)


def _check(experiment: Experiment, *_: object) -> None:
    """Build the optimizer, and let one of torch's take steps of a small layer.

    Only the class itself knows that momentum = -1 will not do, and some know it in a step only.
    A plugged-in optimizer takes no step here: an error there is the failure of a run.
    """
    import torch

    optimizer = OPTIMIZER.of(experiment)
    layer = torch.nn.Linear(2, 2)
    made = build(optimizer, layer.parameters())
    for _step in range(0 if is_plugged_in(optimizer.name) else 2):
        for parameter in layer.parameters():
            parameter.grad = torch.ones_like(parameter)
        take_step(made)


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

    optimizer._opt_called = True  # type: ignore[attr-defined]  # or a schedule warns of no step
    with torch.no_grad():
        inspect.unwrap(type(optimizer).step)(optimizer)


def _read(name: str) -> Signature:
    return parsed(torch_sources("optim")[name], name) or inspected(OPTIMIZER.load(name))


def _objection(signature: Signature) -> str | None:
    if signature.step_needs:
        return "calls the loss several times a step, which the training loop does not offer"
    if not signature.takes("lr"):
        return "takes no lr, so that learning_rate would mean nothing"
    return None


def _component_of(experiment: Experiment) -> Component:
    args = {"lr": experiment.learning_rate, **experiment.optimizer_args}
    return Component(experiment.optimizer, args)


OPTIMIZER = Kind(
    setting="optimizer",
    noun="optimizer",
    base="torch.optim:Optimizer",
    of=_component_of,
    library="torch.optim",
    built_in=lambda: torch_sources("optim").keys() - {"Optimizer"},
    read=_read,
    own='another is "package.module:Class"; ',
    reserved={"lr": "it is the setting learning_rate", "params": "it is the network's"},
    objection=_objection,
    check=_check,
)
