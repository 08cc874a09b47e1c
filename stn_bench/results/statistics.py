"""The few statistics that a table of error rates needs: mean, sample standard deviation, Wilson interval, rounding."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from math import fsum, sqrt
from statistics import NormalDist


def wilson_interval(errors: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The score interval for a proportion: between which error rates the truth lies, as two fractions.

    It says how far one network's error on `n` images may be from its error on endlessly many;
    it says nothing about how much another seed would differ.

    Raises `ValueError` for `errors` outside 0 to `n`, for `n` below 1 and for `confidence` outside (0, 1).
    Source: Wilson, Journal of the American Statistical Association 22 (1927), 209-212; no continuity correction.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence lies between 0 and 1, found {confidence}: give 0.95 for 95 %")
    if n < 1 or not 0 <= errors <= n:
        raise ValueError(f"{errors} errors among {n} images is not a proportion: 0 <= errors <= n and n >= 1")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = errors / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half_width = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # at the ends the bound is exactly 0 or 1; rounding would leave it a hair beside
    low = 0.0 if errors == 0 else centre - half_width
    high = 1.0 if errors == n else centre + half_width
    return low, high


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean, the same to the last bit in whatever order the values come.

    Raises `ValueError` where there is no value.
    """
    if not values:
        raise ValueError("no values have no mean: leave the cell out instead")
    return fsum(values) / len(values)


def sample_sd(values: Sequence[float]) -> float | None:
    """The sample standard deviation (divisor n - 1); None for a single value, which has none.

    Raises `ValueError` where there is no value.
    """
    centre = mean(values)
    if len(values) == 1:
        return None
    return sqrt(fsum((value - centre) ** 2 for value in values) / (len(values) - 1))


def percent(fraction: float, places: int = 2) -> Decimal:
    """A fraction in percent, rounded; halves go up, so that 0.75 never counts as 0.7 for the way its bits fall."""
    return Decimal(repr(round(100 * fraction, 6))).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
