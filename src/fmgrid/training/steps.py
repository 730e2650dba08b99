"""One training step: the loss of a batch, then the update of the weights that it calls for.

An MLP under torch's own optimizers takes its steps by hand: the operations that autograd would
call, on the same numbers in the same order, without recording them anew every time. The bits are
the same, so no result depends on which way was taken. Any other network, activation, loss or
optimizer goes through autograd.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from fmgrid.components.mlp import MLP
from fmgrid.components.optimizers import take_step

# Overloads by name: choosing among them by their arguments takes longer than they do.
_nll_loss = torch.ops.aten.nll_loss_forward.default
_nll_loss_backward = torch.ops.aten.nll_loss_backward.default
_log_softmax_backward = torch.ops.aten._log_softmax_backward_data.default
_threshold_backward = torch.ops.aten.threshold_backward.grad_input
_batch_norm = torch.ops.aten.native_batch_norm.default
_batch_norm_backward = torch.ops.aten.native_batch_norm_backward.default
_layer_norm = torch.ops.aten.native_layer_norm.default
_layer_norm_backward = torch.ops.aten.native_layer_norm_backward.default
_ALL = [True, True, True]  # gradients: of the input, the scale and the shift

LossFunction: TypeAlias = Callable[[Tensor, Tensor], Tensor]  # of logits and labels
Steps: TypeAlias = "ByHand | ByAutograd"  # for every batch: the loss, then the update


def steps_for(network: nn.Module, loss_fn: LossFunction, optimizer: Optimizer) -> Steps:
    """Return the fastest steps that give autograd's bits."""
    plain = nn.CrossEntropyLoss()  # with nothing weighted, smoothed or ignored
    is_plain = type(loss_fn) is type(plain) and vars(loss_fn) == vars(plain)
    # Those of torch are known to read nothing but the gradients.
    is_torchs = type(optimizer) in vars(torch.optim).values()
    is_known = is_plain and is_torchs and not optimizer.defaults.get("differentiable")
    if type(network) is MLP and is_known and {*map(type, network.layers)} <= _BY_HAND.keys():
        return ByHand(network, optimizer)
    return ByAutograd(network, loss_fn, optimizer)


class ByAutograd:
    """Steps as torch takes them."""

    def __init__(self, network: nn.Module, loss_fn: LossFunction, optimizer: Optimizer) -> None:
        self._network = network
        self._loss_fn = loss_fn
        self._parameters = [each for group in optimizer.param_groups for each in group["params"]]
        self._clear: Callable[[], None] = optimizer.zero_grad
        self._update: Callable[[], Any] = optimizer.step
        if type(optimizer) in vars(torch.optim).values():
            # The same without importing the compiler, which takes more than a second.
            self._clear, self._update = self._clear_gradients, partial(take_step, optimizer)

    def loss(self, inputs: Tensor, labels: Tensor) -> float:
        """Return the mean loss of a batch."""
        self._clear()
        self._loss = self._loss_fn(self._network(inputs), labels)
        return self._loss.item()

    def update(self) -> None:
        """Change the weights by the gradient of the last loss."""
        self._loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        self._update()

    def _clear_gradients(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None


def _parts(parameter: Tensor) -> tuple[Tensor, Tensor]:
    """Return the numbers of a parameter, and where the optimizer looks for its gradient."""
    parameter.grad = torch.zeros_like(parameter)
    return parameter.detach(), parameter.grad


class _Layer:
    """A layer, and what passes through it with n images."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def make_room(self, images: int) -> None:
        """Make buffers for so many images."""


class _Linear(_Layer):
    """The output is the signal times the weights, plus the bias."""

    def __init__(self, linear: nn.Linear) -> None:
        self._weight, self._weight_grad = _parts(linear.weight)
        self._transposed = self._weight.t()
        self._bias: Tensor | None = None  # where a normalization follows
        if linear.bias is not None:
            self._bias, self._bias_grad = _parts(linear.bias)

    def make_room(self, images: int) -> None:
        outputs, inputs = self._weight.shape
        self._output, self._grad = torch.empty(images, outputs), torch.empty(images, inputs)

    def forward(self, signal: Tensor) -> Tensor:
        """Return the output, [n, outputs], for a signal [n, inputs]."""
        self._signal = signal
        if self._bias is None:
            return torch.mm(signal, self._transposed, out=self._output)
        return torch.addmm(self._bias, signal, self._transposed, out=self._output)

    def fill(self, grad: Tensor) -> None:
        """Fill in the gradients of the parameters from that of the output."""
        torch.mm(grad.t(), self._signal, out=self._weight_grad)
        if self._bias is not None:
            torch.sum(grad, 0, out=self._bias_grad)

    def backward(self, grad: Tensor) -> Tensor:
        """Fill in the gradients of the parameters, and return that of the signal."""
        self.fill(grad)
        return torch.mm(grad, self._weight, out=self._grad)


class _Relu(_Layer):
    """What is below 0 becomes 0, in place."""

    def forward(self, signal: Tensor) -> Tensor:
        self._signal = signal.relu_()
        return self._signal

    def backward(self, grad: Tensor) -> Tensor:
        _threshold_backward(grad, self._signal, 0, grad_input=grad)
        return grad


class _Dropout(_Layer):
    """A part of the signal becomes 0; the rest grows, so that the mean stays."""

    def forward(self, signal: Tensor) -> Tensor:
        kept = 1 - self._module.p
        self._factors = torch.empty_like(signal).bernoulli_(kept).div_(kept)
        return signal * self._factors

    def backward(self, grad: Tensor) -> Tensor:
        return grad.mul_(self._factors)


class _Norm(_Layer):
    """A normalization with a scale and a shift."""

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        self._scale, self._scale_grad = _parts(module.weight)
        self._shift, self._shift_grad = _parts(module.bias)

    def fill(self, scale_grad: Tensor, shift_grad: Tensor) -> None:
        """Fill in the gradients of the parameters."""
        self._scale_grad.copy_(scale_grad)
        self._shift_grad.copy_(shift_grad)


class _BatchNorm(_Norm):
    """Each output has mean 0 and variance 1 in the batch, then a scale and a shift."""

    def __init__(self, norm: nn.BatchNorm1d) -> None:
        super().__init__(norm)
        self._running = norm.running_mean, norm.running_var

    def forward(self, signal: Tensor) -> Tensor:
        self._signal, norm = signal, self._module
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)
        output, *self._moments = _batch_norm(
            signal, self._scale, self._shift, *self._running, True, norm.momentum, norm.eps
        )
        return cast("Tensor", output)

    def backward(self, grad: Tensor) -> Tensor:
        signals, state = (grad, self._signal), (*self._running, *self._moments)
        grad, *of_parameters = _batch_norm_backward(
            *signals, self._scale, *state, True, self._module.eps, _ALL
        )
        self.fill(*of_parameters)
        return grad


class _LayerNorm(_Norm):
    """The outputs of an image have mean 0 and variance 1, then a scale and a shift."""

    def forward(self, signal: Tensor) -> Tensor:
        self._signal, norm = signal, self._module
        output, *self._moments = _layer_norm(
            signal, norm.normalized_shape, self._scale, self._shift, norm.eps
        )
        return cast("Tensor", output)

    def backward(self, grad: Tensor) -> Tensor:
        signals, shape = (grad, self._signal), self._module.normalized_shape
        grad, *of_parameters = _layer_norm_backward(
            *signals, shape, *self._moments, self._scale, self._shift, _ALL
        )
        self.fill(*of_parameters)
        return grad


_BY_HAND: Mapping[type, Callable[[Any], Any]] = {
    nn.Linear: _Linear,
    nn.ReLU: _Relu,
    nn.Dropout: _Dropout,
    nn.BatchNorm1d: _BatchNorm,
    nn.LayerNorm: _LayerNorm,
}


class ByHand:
    """Steps of an MLP, without a graph and into buffers that are made once.

    Backpropagation after Rumelhart, Hinton & Williams (1986), Learning representations by
    back-propagating errors, Nature 323, 533-536, in torch's own operations.
    """

    def __init__(self, network: MLP, optimizer: Optimizer) -> None:
        self._layers = [_BY_HAND[type(module)](module) for module in network.layers]
        self._optimizer = optimizer
        self._step = self._first_step
        self._unit_grad = torch.ones(())  # the gradient of the loss by itself
        self._images = 0

    def loss(self, inputs: Tensor, labels: Tensor) -> float:
        """Return the mean loss of a batch."""
        if labels.numel() != self._images:  # at first, and where a pass ends with a short batch
            self._images = labels.numel()
            for layer in self._layers:
                layer.make_room(self._images)
        signal = inputs.flatten(1)
        for layer in self._layers:
            signal = layer.forward(signal)
        self._logs = torch.log_softmax(signal, 1)  # logarithms of the probabilities
        self._labels = labels
        loss, self._weight = _nll_loss(self._logs, labels, None, 1, -100)
        return float(loss.item())

    def update(self) -> None:
        """Change the weights by the gradient of the last loss."""
        logs = self._logs
        grad = _nll_loss_backward(self._unit_grad, logs, self._labels, None, 1, -100, self._weight)
        grad = _log_softmax_backward(grad, logs, 1, torch.float32)
        first, *others = self._layers
        for layer in reversed(others):
            grad = layer.backward(grad)
        first.fill(grad)
        self._step()

    def _first_step(self) -> None:
        """Let the optimizer make its state; from then on its kernel can be called directly."""
        take_step(self._optimizer)
        self._step = _kernel_call(self._optimizer) or partial(take_step, self._optimizer)


def _kernel_call(optimizer: Optimizer) -> Callable[[], None] | None:
    """Return a call of the fused kernel on the optimizer's own state, if that is what it uses.

    Optimizer.step() makes the same call, but spends as long on grouping before it as a small
    network's whole step takes.
    """
    (group,) = optimizer.param_groups
    if not group.get("fused") or type(optimizer) not in (Adam, AdamW, SGD):
        return None
    parameters = group["params"]
    state = [optimizer.state[parameter] for parameter in parameters]
    tensors = [
        [parameter.detach() for parameter in parameters],
        [parameter.grad for parameter in parameters],
    ]
    options = {name: group[name] for name in ("weight_decay", "maximize")}
    if type(optimizer) is SGD:
        tensors.append([entry["momentum_buffer"] for entry in state] if group["momentum"] else [])
        options |= {name: group[name] for name in ("momentum", "dampening", "nesterov")}
        return lambda: torch._fused_sgd_(*tensors, lr=group["lr"], is_first_step=False, **options)
    counts = torch.stack([entry["step"] for entry in state])
    # Views, so that one addition counts for all.
    for entry, step in zip(state, counts.unbind(), strict=True):
        entry["step"] = step
    for name in ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step"):
        is_used = group["amsgrad"] or name != "max_exp_avg_sq"
        tensors.append([entry[name] for entry in state] if is_used else [])
    options |= {name: group[name] for name in ("eps", "amsgrad")}
    options["beta1"], options["beta2"] = group["betas"]
    is_decoupled = group.get("decoupled_weight_decay", type(optimizer) is AdamW)
    kernel = torch._fused_adamw_ if is_decoupled else torch._fused_adam_

    def update() -> None:
        counts.add_(1)
        kernel(*tensors, lr=group["lr"], **options)

    return update
