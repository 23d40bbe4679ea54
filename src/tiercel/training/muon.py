"""Muon: momentum whose matrices are made orthogonal before they are added.

Every direction in a weight matrix moves by the same amount, however small its gradient is. From K. Jordan and others,
"Muon: an optimizer for hidden layers in neural networks" (2024), with the scale of J. Liu and others, arXiv 2502.16982,
under which learning rate and weight decay mean what they mean to AdamW. What is no matrix is optimised by Adam.
torch's own takes nothing but matrices; a convolution is one here, of outputs by all else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic that pushes singular values towards 1, as published."""
ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Muon for weights, Adam for biases, gains and other parameters with one axis.

    Args:
        parameters: What is optimised.
        lr: Learning rate, of the size that suits AdamW.
        weight_decay: Decoupled; on weights only.
        momentum: Of weights.
        betas: Adam's.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        weight_decay: float = 0.02,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        """Sorts the parameters."""
        parameters = list(parameters)
        groups: list[dict[str, Any]] = [
            {"params": [p for p in parameters if p.ndim > 1], "orthogonal": True},
            {"params": [p for p in parameters if p.ndim <= 1], "orthogonal": False},
        ]
        settings = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "betas": betas}
        super().__init__([group for group in groups if group["params"]], settings)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step along the gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    update = self._orthogonal if group["orthogonal"] else self._adam
                    update(parameter, parameter.grad, self.state[parameter], group)

    @staticmethod
    def _orthogonal(parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(gradient, 1.0 - group["momentum"])
        ahead = gradient.lerp(state["momentum"], group["momentum"])
        # A stack of matrices stays one; a convolution becomes a matrix of outputs by all else.
        matrix = ahead if ahead.ndim == 3 else ahead.flatten(1)
        step = orthogonal(matrix) * (0.2 * max(matrix.shape[-2:]) ** 0.5)
        parameter.mul_(1.0 - group["lr"] * group["weight_decay"]).add_(step.view(parameter.shape), alpha=-group["lr"])

    @staticmethod
    def _adam(parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:
            state |= {"step": 0, "first": torch.zeros_like(parameter), "second": torch.zeros_like(parameter)}
        first, second = group["betas"]
        state["step"] += 1
        state["first"].lerp_(gradient, 1.0 - first)
        state["second"].lerp_(gradient.square(), 1.0 - second)
        size = (state["second"] / (1.0 - second ** state["step"])).sqrt_().add_(1e-8)
        parameter.addcdiv_(state["first"], size, value=-group["lr"] / (1.0 - first ** state["step"]))


def orthogonal(matrix: Tensor) -> Tensor:
    """The nearest matrix with orthogonal rows or columns, roughly: singular values between about 0.7 and 1.2.

    Args:
        matrix: (..., rows, columns), not zero everywhere.
    """
    a, b, c = COEFFICIENTS
    if matrix.shape[-2] > matrix.shape[-1]:
        return orthogonal(matrix.transpose(-2, -1)).transpose(-2, -1)
    x = matrix / (matrix.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    # Every factor is a polynomial in the small square x @ x.T, so the iterations run on that, and x is multiplied once.
    gram = x @ x.transpose(-2, -1)
    whole = eye = torch.eye(gram.shape[-1], dtype=x.dtype, device=x.device)
    for _ in range(ITERATIONS):
        factor = a * eye + b * gram + c * gram @ gram
        gram, whole = factor @ gram @ factor, factor @ whole
    step: Tensor = whole @ x
    return step
