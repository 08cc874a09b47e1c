"""Whether one network errs less than another: paired tests over images and over seeds, corrected for their number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

FEW = 25
"""Below so many images that differ the chi-square approximation is poor, and all signs are counted instead."""


class McNemar(NamedTuple):
    """What the clustered McNemar test found."""

    statistic: float  # chi-square with one degree of freedom
    differing: int  # images on which the errors of both differ
    p: float  # two-sided


def clustered_mcnemar(errors: ArrayLike, others: ArrayLike) -> McNemar:
    """Whether two networks, each trained with the same number of seeds, err equally often on the same images.

    Args:
        errors: in how many of its runs the one is wrong, per image: (n,).
        others: the same of the other.

    An image is a cluster and the runs are its repeats, so that a hard image, on which every run errs, counts once
    however many runs there are. With d the differences per image, the statistic is (sum d)^2 / (sum d^2). For one run
    each that is McNemar's (1947), without continuity correction. Where fewer than `FEW` images differ, p is exact: the
    share of all ways to swap both networks' errors, image by image, after which the sum is at least as far from 0. For
    one run each that is the exact binomial test. Where no image differs, p is 1. p speaks of these
    runs on other images, not of other runs.

    Raises `ValueError` where both do not have one number per image.
    Source: Durkalski, Palesch, Lipsitz, Rust, Statistics in Medicine 22 (2003), 2417-2428.
    """
    import numpy as np
    from scipy.stats import chi2

    one, other = np.asarray(errors, dtype=np.int64), np.asarray(others, dtype=np.int64)
    if one.shape != other.shape or one.ndim != 1:
        raise ValueError(f"errors of shapes {one.shape} and {other.shape} are not paired: give one number per image")
    differences = (one - other)[one != other]
    if not len(differences):
        return McNemar(0.0, 0, 1.0)
    statistic = float(differences.sum() ** 2 / (differences**2).sum())
    p = _p_of_signs(differences) if len(differences) < FEW else float(chi2.sf(statistic, df=1))
    return McNemar(statistic, len(differences), p)


def paired_t(errors: Sequence[float], others: Sequence[float]) -> float | None:
    """The two-sided p-value of the paired t test over seeds: n - 1 degrees of freedom, 2 for three seeds.

    None for fewer than two seeds, and where all seeds differ by the same amount: errors are counts, so that two seeds
    do so now and then, and a spread of 0 would make any difference certain.
    """
    from scipy.stats import ttest_rel

    # 1e-12: differences of fractions that are equal but for rounding; one image of 10,000 is 1e-4
    differences = [one - other for one, other in zip(errors, others, strict=True)]
    if len(differences) < 2 or max(differences) - min(differences) < 1e-12:
        return None
    return float(ttest_rel(errors, others).pvalue)


def holm(ps: Sequence[float]) -> list[float]:
    """The p-values corrected for their number: the chance of a false alarm among all of them stays below the level.

    Source: Holm, Scandinavian Journal of Statistics 6 (1979), 65-70.
    """
    corrected, highest = [0.0] * len(ps), 0.0
    for rank, i in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[i]))
        corrected[i] = highest
    return corrected


def _p_of_signs(differences: NDArray[Any]) -> float:
    """The chance that the sum, each sign being a coin's, is at least as far from 0."""
    import numpy as np
    from scipy.stats import binom

    chances = np.ones(1)  # of each sum, from the lowest to the highest
    for size, count in zip(*np.unique(np.abs(differences), return_counts=True), strict=True):
        of_size = np.zeros(2 * size * count + 1)
        of_size[:: 2 * size] = binom.pmf(np.arange(count + 1), count, 0.5)
        chances = np.convolve(chances, of_size)
    sums = np.arange(len(chances)) - len(chances) // 2
    return min(1.0, float(chances[np.abs(sums) >= abs(differences.sum())].sum()))
