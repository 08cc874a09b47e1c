"""The spatial transformer: localiser -> theta -> points -> sample (Jaderberg et al. 2015, section 3)."""

import numbers
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from stn_bench.errors import UserError
from stn_bench.geometry import Kernel, Padding, check_sampling, holds_numbers, pixel_grid, sample
from stn_bench.transforms import Transform

KEPT = 16
"""Sizes of outputs whose constants a transformer keeps; for others they are made each time."""


class NonFiniteTheta(UserError, FloatingPointError):
    """Raised where the parameters that a transformer predicts are NaN or infinite: nothing is sampled there."""


class Regression(nn.Linear):
    """Features to theta. Whoever resets a network layer by layer, this one then predicts the transform's identity."""

    def __init__(self, features: int, transform: Transform) -> None:
        self.identity_of = (transform,)  # in a tuple, as it is no part of the layer
        super().__init__(features, transform.num_params)

    def reset_parameters(self) -> None:
        """Predict the identity for every input."""
        super().reset_parameters()  # draws as any layer does, or a seed would give other networks than it gave
        nn.init.zeros_(self.weight)
        with torch.no_grad():
            self.bias.copy_(self.identity_of[0].identity())


class SpatialTransformer(nn.Module):
    """Warps its input by parameters that it predicts from it; can stand anywhere in a network.

    Starts as the identity, whatever the localiser: the regression layer is its own, with zero weights and the
    identity's parameters as bias. Theta, points and sampling are float32 under any autocast.

    Args:
        localiser: takes images (B, C, H, W) to features (B, F); any module.
        features: F.
        transform: the family of warps, such as `Affine()` or `ThinPlateSpline()`.
        output_size: (H', W') of the result; the input's size if None.
        kernel: how the input is read: "bilinear", "nearest" (no gradient for theta) or "bicubic".
        padding: what lies outside the input: "zeros" or "border".
        name: what errors call this transformer; useful where a network has several.
    Raises ValueError for an unknown kernel or padding, and an output size or number of features that is none; TypeError
    for a localiser that is no module or a transform that is none.
    """

    def __init__(
        self,
        localiser: nn.Module,
        features: int,
        transform: Transform,
        output_size: tuple[int, int] | None = None,
        kernel: Kernel = "bilinear",
        padding: Padding = "zeros",
        name: str = "spatial transformer",
    ) -> None:
        super().__init__()
        check_sampling(kernel, padding)
        if not isinstance(localiser, nn.Module):
            raise TypeError(f"the localiser of {name!r} is no module, so it would not learn: found {localiser!r}")
        if not isinstance(transform, Transform):
            raise TypeError(f"the transform of {name!r} is not an object such as Affine(): found {transform!r}")
        if not _is_whole(features):
            raise ValueError(f"the localiser of {name!r} cannot make features={features!r}: give a whole number from 1")
        if output_size is not None and not _is_size(output_size):
            found = " x ".join(map(str, output_size)) if isinstance(output_size, Sequence) else output_size
            raise ValueError(f"{name!r} cannot make {found} pixels: output_size wants two whole numbers from 1")
        self.localiser = localiser
        self.transform = transform
        self.regression = Regression(features, transform)
        self.output_size = output_size
        self.kernel: Kernel = kernel
        self.padding: Padding = padding
        self.name = name
        self._basis: dict[tuple[int, int, torch.device, torch.dtype, Transform], Tensor] = {}

    def reset_to_identity(self) -> None:
        """Make the regression layer predict the identity for every input."""
        nn.init.zeros_(self.regression.weight)
        with torch.no_grad():
            self.regression.bias.copy_(self.transform.identity())

    def theta(self, images: Tensor) -> Tensor:
        """The parameters (B, P) predicted for images (B, C, H, W).

        Raises NonFiniteTheta, and ValueError for what are no images or no features.
        """
        if images.ndim != 4 or not images.is_floating_point():
            raise ValueError(
                f"{self.name!r} takes images (B, C, H, W) of floating-point numbers, found {tuple(images.shape)} of "
                f"{images.dtype}"
            )
        features = self.localiser(images)
        if features.shape != (images.shape[0], self.regression.in_features):
            raise ValueError(
                f"the localiser of {self.name!r} makes features of shape {tuple(features.shape)}, where "
                f"features={self.regression.in_features} asks for (B, {self.regression.in_features})"
            )
        with torch.autocast(images.device.type, enabled=False):
            theta = self.regression(features.to(self.regression.weight.dtype))
        self._check_finite(theta, features)
        return theta

    def points(self, images: Tensor) -> Tensor:
        """Where in its input each output pixel looks: (B, H', W', 2). Raises NonFiniteTheta."""
        return self.points_of(self.theta(images), (images.shape[-2], images.shape[-1]))

    def points_of(self, theta: Tensor, input_size: tuple[int, int]) -> Tensor:
        """The points (B, H', W', 2) of given parameters (B, P), for inputs of `input_size` (H, W)."""
        self.transform.check(theta)
        theta = theta.to(torch.promote_types(theta.dtype, torch.float32))  # half precision loses sub-pixel positions
        with torch.autocast(theta.device.type, enabled=False):
            return self.transform.warp(theta, self._basis_for(self.output_size or input_size, theta))

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) warped to (B, C, H', W'). Raises NonFiniteTheta."""
        return sample(images, self.points(images), self.kernel, self.padding)

    def extra_repr(self) -> str:
        """The settings, for `print(model)`."""
        return f"output_size={self.output_size}, kernel={self.kernel!r}, padding={self.padding!r}"

    def _basis_for(self, size: tuple[int, int], like: Tensor) -> Tensor:
        key = (size[0], size[1], like.device, like.dtype, self.transform)  # which may be exchanged
        symbolic = any(isinstance(side, torch.SymInt) for side in size)  # of an export for images of any size
        if not symbolic and key in self._basis:  # a constant of the output size, made once
            return self._basis[key]
        with torch.inference_mode(False):  # kept, it may serve training next
            basis = self.transform.basis(pixel_grid(*size, dtype=like.dtype, device=like.device))
        if len(self._basis) < KEPT and self._is_constant(basis):
            self._basis[key] = basis
        return basis

    def _is_constant(self, basis: Tensor) -> bool:
        """Not so where the transform has numbers of its own, which a step or a loaded state changes."""
        return holds_numbers(basis) and not [*self.transform.parameters(), *self.transform.buffers()]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "SpatialTransformer":
        self._basis.clear()  # moved or cast, it needs others
        super()._apply(fn, recurse)
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Without constants, which are made where they are needed: what is loaded may lie on another device."""
        return {**self.__dict__, "_basis": {}}

    def _check_finite(self, theta: Tensor, features: Tensor) -> None:
        if not holds_numbers(theta) or (theta.is_cuda and torch.cuda.is_current_stream_capturing()):
            return  # nothing to look at yet
        finite = theta.isfinite().all(dim=1)
        if finite.all():
            return
        image = int(finite.logical_not().nonzero()[0])
        if not all(parameter.isfinite().all() for parameter in self.parameters()):
            cause = "its own weights are not finite: lower its learning rate or clip gradients"
        elif not features[image].isfinite().all():
            cause = "its localiser's features are not finite: check that the images are"
        else:
            cause = "its regression layer overflows: lower its learning rate or clip gradients"
        raise NonFiniteTheta(f"theta of {self.name!r} is not finite for image {image} of the batch; {cause}")


def _is_whole(number: object) -> bool:
    """Whether it is a whole number from 1, Python's or NumPy's."""
    return isinstance(number, numbers.Integral) and int(number) >= 1


def _is_size(size: object) -> bool:
    return isinstance(size, Sequence) and len(size) == 2 and all(map(_is_whole, size))
