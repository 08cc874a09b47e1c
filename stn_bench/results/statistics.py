"""What a table of error rates needs beside the mean and deviation of the standard library: interval and rounding."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from math import sqrt
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


def percent(fraction: float, places: int = 2) -> Decimal:
    """A fraction in percent, rounded; halves go up, so that 0.75 never counts as 0.7 for the way its bits fall."""
    return Decimal(repr(round(100 * fraction, 6))).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def in_percent(fraction: float | None) -> float | None:
    """The same as a number for other programs to read; None stays None."""
    return None if fraction is None else round(100 * fraction, 4) + 0.0  # no -0.0; an image of 10,000 is 0.01 %
