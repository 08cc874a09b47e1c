"""Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon): momentum whose every direction counts the same."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytorch_optimizer
import torch
from pytorch_optimizer.optimizer.utils import zero_power_via_gram_newton_schulz, zero_power_via_newton_schulz_5
from torch import Tensor
from torch.optim import Optimizer

from stn_bench.training.precision import multiplies_bfloat16

WIDE = 2
"""Times as many columns as rows, or rows as columns, from which on iterating on the smaller of X X' and X' X pays."""

MANY = 128
"""Rows, or columns if they are fewer, above which a matrix is iterated on in bfloat16 where a CPU has it.

On one core with AMX a matrix of 87 x 4263 takes 1.3 ms in float32, which can iterate on 87 x 87, and 2.9 in bfloat16;
one of 20 x 500 takes .1 and .4, one of 353 x 784 takes 13 and 5.
"""

ALIGNED = 8
"""Rows and columns of a batch on a GPU are multiples of this: its products of odd sizes take twice as long."""


def muon(
    groups: Iterable[Mapping[str, Any]],
    lr: float = 0.003,
    momentum: float = 0.95,
    betas: tuple[float, float] = (0.9, 0.98),
    weight_decay: float = 0.0,
    ns_steps: int = 5,
) -> Optimizer:
    """Muon for every weight of two dimensions or more, AdamW for the others.

    A layer's weight is one matrix to Muon, outputs by all else: its momentum is replaced by the nearest matrix whose
    singular values are all 1, scaled so that it moves a weight as far as AdamW would (Liu et al. 2025,
    arXiv 2502.16982), so that one `lr` serves both.

    Args:
        groups: parameter groups, as optimisers take them; each becomes two, which keep its other keys.
        lr: learning rate.
        momentum: how much of the mean gradient is kept a step, by Muon.
        betas: how much of the mean gradient and of its square is kept a step, by AdamW.
        weight_decay: times the learning rate, the share of each weight that a step takes away.
        ns_steps: Newton-Schulz iterations towards the nearest orthogonal matrix; most of what a step costs.

    Raises ValueError for values out of range.
    """
    for name, value in (("learning rate", lr), ("weight decay", weight_decay)):  # the library lets NaN pass
        if not 0 <= value < math.inf:
            raise ValueError(f"Invalid {name}: {value}")
    parted = []
    for group in groups:
        parameters = list(group["params"])
        for matrices in (True, False):
            of_a_kind = [parameter for parameter in parameters if (parameter.ndim > 1) == matrices]
            if of_a_kind:
                parted.append({**group, "params": of_a_kind, "use_muon": matrices, "step": 0})
    return Muon(
        parted,
        lr=lr,
        momentum=momentum,
        weight_decay=weight_decay,
        use_adjusted_lr=True,
        ns_steps=ns_steps,
        adamw_lr=lr,
        adamw_betas=(betas[0], betas[1]),
        adamw_wd=weight_decay,
        adamw_eps=1e-8,
    )


class Muon(pytorch_optimizer.Muon):
    """The library's, which multiplies in bfloat16; in float32 where that is faster.

    Its groups' `step` may be a tensor on the device, as `lr` may be: a captured step counts there.
    """

    @staticmethod
    def debias(beta: float, step: Any) -> Any:
        """1 - beta^step."""
        return 1.0 - beta**step

    def _step_foreach_group(self, group: dict[str, Any]) -> None:
        """The matrices of a group shape by shape, as the library takes them; on a GPU all at once."""
        if not (group["use_muon"] and group["params"][0].is_cuda):
            super()._step_foreach_group(group)
            return
        key = "momentum_buffer"
        weights, gradients, state = self.collect_trainable_params(group, self.state, state_keys=[key])
        decay = (group["weight_decay"], group["weight_decouple"], False)
        self.apply_weight_decay_foreach(weights, gradients, group["lr"], *decay)
        updates = self._momentum_updates(group, gradients, state[key])
        for each in zip(weights, gradients, updates, strict=True):  # the learning rate depends on the shape
            self._apply_muon_updates(group, *([tensor] for tensor in each))

    @staticmethod
    def _orthogonalize(group: dict[str, Any], updates: list[Tensor]) -> list[Tensor]:
        settings = {"num_steps": group["ns_steps"], "weights": group["ns_coeffs"], "dtype": torch.float32}
        if updates[0].is_cuda:
            return orthogonal_together([update.flatten(1) for update in updates], **settings)
        if min(updates[0].flatten(1).shape) > MANY and multiplies_bfloat16(updates[0].device):
            return pytorch_optimizer.Muon._orthogonalize(group, updates)
        return [_orthogonal(update.flatten(1), **settings) for update in updates]


def _orthogonal(matrix: Tensor, **settings: Any) -> Tensor:
    """Newton-Schulz iterations, by the way that multiplies less: equal to rounding, which bfloat16 could not afford."""
    if max(matrix.shape) < WIDE * min(matrix.shape):
        return zero_power_via_newton_schulz_5(matrix, **settings)
    return zero_power_via_gram_newton_schulz(matrix, reset_steps=(), **settings)


def orthogonal_together(matrices: Sequence[Tensor], **settings: Any) -> list[Tensor]:
    """Newton-Schulz iterations on matrices of any shapes in one batch: a GPU takes as long for one as for all.

    Zeros around a matrix change nothing.
    """
    wide = [matrix.mT if len(matrix) > matrix.shape[1] else matrix for matrix in matrices]
    rows, columns = (math.ceil(max(matrix.shape[side] for matrix in wide) / ALIGNED) * ALIGNED for side in (0, 1))
    batch = wide[0].new_zeros(len(wide), rows, columns)
    for place, matrix in zip(batch, wide, strict=True):
        place[: len(matrix), : matrix.shape[1]] = matrix
    found = zero_power_via_gram_newton_schulz(batch, reset_steps=(), **settings)
    parts = [part[: len(matrix), : matrix.shape[1]] for part, matrix in zip(found, wide, strict=True)]
    return [part.mT if len(matrix) > matrix.shape[1] else part for part, matrix in zip(parts, matrices, strict=True)]
