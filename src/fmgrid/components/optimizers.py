"""The kind "optimizer": the classes of torch.optim, and anyone's that are derived from theirs."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from fmgrid.components.kinds import Component, Kind, signature
from fmgrid.components.plugins import Expected, is_plugged_in, load_class
from fmgrid.components.signatures import Signature, inspected, parsed, torch_sources
from fmgrid.experiment import Experiment

if TYPE_CHECKING:
    from torch.nn import Parameter
    from torch.optim import Optimizer

EXPECTED = Expected("optimizer", "torch.optim:Optimizer")


def build(optimizer: Component, parameters: "Iterable[Parameter]") -> "Optimizer":
    """Return an optimizer of these parameters."""
    leave_out_compiler()
    name = optimizer.name if is_plugged_in(optimizer.name) else f"torch.optim:{optimizer.name}"
    make: Callable[..., Optimizer] = load_class(name, EXPECTED)
    return make(parameters, **_with_fused_step(optimizer))


def _with_fused_step(optimizer: Component) -> dict[str, Any]:
    """Return the arguments; torch's own optimizers are asked for their fused step.

    It takes half the time of the loop that is torch's default, and rounds differently.
    """
    excluding = {"fused", "foreach", "differentiable"} & optimizer.args.keys()
    if is_plugged_in(optimizer.name) or excluding:
        return dict(optimizer.args)
    takes_fused = signature(OPTIMIZER, optimizer.name).takes("fused")
    return {**optimizer.args, **({"fused": True} if takes_fused else {})}


def _check(optimizer: Component) -> None:
    """Build the optimizer, and let one of torch's take steps of a small layer.

    Only the class itself knows that momentum = -1 will not do, and some know it in a step only.
    A plugged-in optimizer takes no step here: an error there is the failure of a run.
    """
    import torch

    layer = torch.nn.Linear(2, 2)
    made = build(optimizer, layer.parameters())
    for _ in range(0 if is_plugged_in(optimizer.name) else 2):
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

    with torch.no_grad():
        inspect.unwrap(type(optimizer).step)(optimizer)


def _of_torch() -> Mapping[str, Callable[[], Signature]]:
    sources = torch_sources("optim")
    return {name: partial(_read, name) for name in sources if name != "Optimizer"}


def _read(name: str) -> Signature:
    source = torch_sources("optim")[name]
    return parsed(source, name) or inspected(load_class(f"torch.optim:{name}", EXPECTED))


def _objection(signature: Signature) -> str | None:
    if signature.step_needs:
        return "calls the loss several times a step, which the training loop does not offer"
    return (
        None if signature.takes("lr") else "takes no lr, so that learning_rate would mean nothing"
    )


def _of_experiment(experiment: Experiment) -> Component:
    args = {"lr": experiment.learning_rate, **experiment.optimizer_args}
    return Component(experiment.optimizer, args)


OPTIMIZER = Kind(
    setting="optimizer",
    expected=EXPECTED,
    library="torch.optim",
    built_in=_of_torch,
    of=_of_experiment,
    check=_check,
    objection=_objection,
    reserved={"lr": "it is the setting learning_rate", "params": "it is the network's"},
)
