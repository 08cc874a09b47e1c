"""Thin-plate splines (Bookstein 1989; Jaderberg et al. 2015, section 3.2): kernel, solve, evaluation."""

import torch
from torch import Tensor

from stn_bench.geometry.affine import combine, homogeneous
from stn_bench.geometry.float64 import double
from stn_bench.geometry.tracing import holds_numbers

NEWTON_STEPS = 5
"""Of `invert`."""

LONGEST_STEP = 0.25
"""Of `invert`, in half sides of the image: where a spline folds over, its tangent points far away."""

SMALLEST_AREA = 1e-3
"""Of `invert`: to how little of its area a spline shrinks a place, at the least, as far as a step is concerned."""

ASTRAY = 5e-3
"""Of `invert`, in half sides: a search that is further off before its last step, which squares the error, failed."""

BLOCK = {"cpu": 32, "cuda": 4096}
"""Of `invert`, by device: images done together. On the CPU few enough for the cache: 1,024 take twice as long."""

AT_ONCE = 4096
"""Of `invert`: points searched for once more together, so that wild splines do not fill the memory."""


def control_grid(rows: int, columns: int) -> Tensor:
    """A regular grid of control points from edge to edge of the image: (rows * columns, 2), row by row, float64.

    Raises ValueError for fewer than 2 x 2 points, which fix no spline.
    """
    if rows < 2 or columns < 2:
        raise ValueError(f"a grid of {rows} x {columns} control points lies on one line: use at least 2 x 2")
    # on the CPU, whatever the default device: a network that is built on "meta" gets weights later, not constants
    y, x = (torch.linspace(-1, 1, side, dtype=torch.float64, device="cpu") for side in (rows, columns))
    return torch.cartesian_prod(y, x).flip(-1)


def kernel(points: Tensor, controls: Tensor) -> Tensor:
    """The radial function `r^2 log r^2` of points (..., N, 2) and controls (..., K, 2): (..., N, K); at r = 0 it is 0
    to the dtype's accuracy.
    """
    squared = squared_distances(points, controls)
    return squared.log().mul_(squared)


def squared_distances(points: Tensor, controls: Tensor) -> Tensor:
    """The squared distances of points (..., N, 2) from controls (..., K, 2): (..., N, K); never 0, but the dtype's
    smallest number, so that they have a logarithm.
    """
    # as one product of (|p|^2, p, 1) with (1, -2c, |c|^2): no (..., N, K, 2) differences in memory
    left = torch.cat([points.square().sum(-1, keepdim=True), homogeneous(points)], dim=-1)
    right = torch.cat([torch.ones_like(controls[..., :1]), -2 * controls, controls.square().sum(-1, keepdim=True)], -1)
    return (left @ right.mT).clamp_(min=torch.finfo(left.dtype).tiny)  # rounding may leave it below 0


def basis(points: Tensor, controls: Tensor) -> Tensor:
    """The constant matrix from values at control points to values at points: (H, W, K) or (B, H, W, K).

    `points` (H, W, 2) or (B, H, W, 2), `controls` (K, 2). A spline that takes the values v_k at its control points
    has the values `basis @ v` at the points. Solved once, in float64 on the device of `controls`; returned in the dtype
    and on the device of `points`.
    Raises ValueError for control points that fix no spline, except where they hold no numbers yet, as under a
    compiler: see `tracing.holds_numbers`.
    """
    controls = double(controls)
    if holds_numbers(controls):
        _check_controls(controls)
    values_to_weights = torch.linalg.inv(_system(controls))[:, : len(controls)]  # (K + 3, K)
    flat = double(points).flatten(-3, -2)
    functions = torch.cat([kernel(flat, controls.to(flat.device)), homogeneous(flat)], dim=-1)  # (..., HW, K + 3)
    return (functions @ values_to_weights.to(flat.device)).unflatten(-2, points.shape[-3:-1]).to(points)


def solve(source: Tensor, target: Tensor) -> Tensor:
    """The weights (B, 2, K + 3) of the splines that take control points `source` (B, K, 2) to `target` (B, K, 2).

    Solved in float64, returned in the dtype of `source`. Control points that coincide or lie on one line are not
    looked for, drawn ones never do: torch.linalg.LinAlgError is raised only where the system is singular to the bit.
    """
    values = torch.nn.functional.pad(double(target), (0, 0, 0, 3))  # (B, K + 3, 2): no pull at infinity
    return torch.linalg.solve(_system(double(source)), values).mT.to(source)


def evaluate(weights: Tensor, source: Tensor, points: Tensor) -> Tensor:
    """Move points (H, W, 2) or (B, H, W, 2) by the splines of `solve` -> (B, H, W, 2).

    `weights` (B, 2, K + 3) are what `solve` gave for control points `source` (B, K, 2).
    """
    controls = source.shape[-2]
    flat = points.flatten(-3, -2)  # (HW, 2) or (B, HW, 2)
    # the kernel is symmetric: this way round x and y each lie in memory as an image, as `combine` has them
    bent = weights[..., :controls] @ kernel(source, flat)  # (B, 2, HW)
    bent = bent.unflatten(-1, points.shape[-3:-1]).permute(0, 2, 3, 1)
    return bent + combine(homogeneous(points), weights[..., controls:])


def invert(source: Tensor, target: Tensor, points: Tensor) -> Tensor:
    """Where the splines that take `source` (B, K, 2) to `target` (B, K, 2) have the values `points` -> (B, H, W, 2).

    `points` (H, W, 2) or (B, H, W, 2). A spline has no closed inverse: Newton's method sets out from the spline fitted
    the other way, and where that leads astray once more, from the nearest of the points. Where a spline folds over, it
    has a value several times, and one of these places is found, or none: the result is finite all the same.
    Where a gradient is needed, it is the inverse's own at the place found, of first order; the search has none.
    """
    points = points.expand(len(source), -1, -1, -1)
    block = BLOCK.get(source.device.type, BLOCK["cuda"])
    blocks = zip(source.split(block), target.split(block), points.split(block), strict=True)
    with torch.no_grad():
        found = torch.cat([_invert(*block) for block in blocks])
    if torch.is_grad_enabled() and any(given.requires_grad for given in (source, target, points)):
        return _with_gradient(found, source, target, points)
    return found


def _invert(source: Tensor, target: Tensor, points: Tensor) -> Tensor:
    weights = solve(source, target)
    wanted = points.flatten(1, 2)  # (B, HW, 2)
    start = evaluate(solve(target, source), target, points).flatten(1, 2)
    found, error = _newton(weights, source, wanted, start)
    astray = (error.abs().amax(dim=-1) > ASTRAY).nonzero()
    values = evaluate(weights, source, points).flatten(1, 2) if len(astray) else wanted
    for image, pixel in (some.unbind(-1) for some in astray.split(AT_ONCE)):  # each (N,): each point by itself
        value = wanted[image, pixel, None]  # (N, 1, 2)
        nearest = torch.cdist(value, values[image])[:, 0].argmin(-1)  # (N,)
        found[image, pixel] = _newton(weights[image], source[image], value, wanted[image, nearest, None])[0][:, 0]
    return found.unflatten(1, points.shape[1:3])


def _with_gradient(found: Tensor, source: Tensor, target: Tensor, points: Tensor) -> Tensor:
    """The places `found` (B, H, W, 2) as they are, with the gradient of one more step, which is the inverse's."""
    weights = solve(source, target)
    missed = (evaluate(weights, source, found) - points).flatten(1, 2).mT  # (B, 2, HW)
    with torch.no_grad():
        _, along_x, along_y = _tangent(weights, source, found.flatten(1, 2).mT)
    step = _step(missed, along_x, along_y).mT.unflatten(1, points.shape[1:3])
    return found - (step - step.detach())


def _newton(weights: Tensor, source: Tensor, wanted: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Points at which splines have the values `wanted` (B, N, 2), from `start` (B, N, 2); and by how much they missed
    them one step before. A spline is left alone once its last step made the error of each point rounding.
    """
    settled = torch.finfo(start.dtype).eps ** 0.5  # a step squares the error
    found, wanted = start.mT.contiguous(), wanted.mT  # (B, 2, N)
    missed = torch.empty_like(found)
    going = torch.arange(len(found), device=found.device)
    for _ in range(NEWTON_STEPS):
        value, along_x, along_y = _tangent(weights[going], source[going], found[going])
        error = value - wanted[going]
        step = _step(error, along_x, along_y)
        length = torch.hypot(step[:, :1], step[:, 1:])  # many times faster than a norm over two numbers
        found[going] -= step * (LONGEST_STEP / length.clamp(min=LONGEST_STEP))
        missed[going] = error
        going = going[error.abs().amax(dim=(1, 2)) > settled]
        if not len(going):
            break
    return found.mT, missed.mT


def _step(error: Tensor, along_x: Tensor, along_y: Tensor) -> Tensor:
    """How far points move for the values of splines with these derivatives to change by `error`, to first order;
    all (B, 2, N). Places that shrink below `SMALLEST_AREA` count as that large.
    """
    determinant = _cross(along_x, along_y)
    determinant = determinant.abs().clamp(min=SMALLEST_AREA).copysign(determinant)
    return torch.cat([_cross(error, along_y), _cross(along_x, error)], dim=1) / determinant


def _tangent(weights: Tensor, source: Tensor, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The values of splines at points (B, 2, N), and their derivatives along x and along y: each (B, 2, N)."""
    bend, linear, shift = weights[..., :-3], weights[..., -3:-1], weights[..., -1:]
    squared = squared_distances(source, points.mT)  # (B, K, N)
    log = squared.log()
    # r^2 log r^2 has the gradient 2 (p - c) (log r^2 + 1); the weights w of a spline sum to 0, as do their w c
    pulls = torch.cat([bend, bend * source[..., None, :, 0], bend * source[..., None, :, 1]], dim=1)  # (B, 6, K)
    sums, sums_x, sums_y = (pulls @ log).chunk(3, dim=1)
    along_x = linear[..., :1] + 2 * (sums * points[:, :1] - sums_x)
    along_y = linear[..., 1:] + 2 * (sums * points[:, 1:] - sums_y)
    return bend @ squared.mul_(log) + linear @ points + shift, along_x, along_y


def _cross(left: Tensor, right: Tensor) -> Tensor:
    """The area that vectors (B, 2, N) span, signed: (B, 1, N)."""
    return left[:, :1] * right[:, 1:] - left[:, 1:] * right[:, :1]


def _system(controls: Tensor) -> Tensor:
    plane = homogeneous(controls)  # (..., K, 3)
    upper = torch.cat([kernel(controls, controls), plane], dim=-1)
    lower = torch.nn.functional.pad(plane.mT, (0, 3))
    return torch.cat([upper, lower], dim=-2)  # (..., K + 3, K + 3)


def _check_controls(controls: Tensor) -> None:
    count = len(controls)
    if count < 3:
        raise ValueError(f"{count} control points cannot fix a thin-plate spline: give at least 3, not on one line")
    distances = torch.cdist(controls, controls) + torch.eye(count, device=controls.device)
    if distances.min() < 1e-6:
        first, second = divmod(int(distances.argmin()), count)
        raise ValueError(f"control points {first} and {second} of a thin-plate spline coincide: move one")
    if torch.linalg.svdvals(homogeneous(controls))[-1] < 1e-6:
        raise ValueError(f"{count} control points on one line cannot fix a thin-plate spline: move one off the line")
