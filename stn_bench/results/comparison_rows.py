"""The tests of a table as data: one flat object per comparison and column, for JSON and for a CSV of their own."""

from __future__ import annotations

from typing import Any

from stn_bench.results.comparisons import Compared, Comparisons
from stn_bench.results.statistics import in_percent

DIGITS = 4
"""Significant ones that are written: libraries may differ in the last of a float."""


def flat(comparisons: Comparisons) -> list[dict[str, Any]]:
    """One object per comparison and column, those without runs too; differences are in percent of the images."""
    return [_flat(one) for one in comparisons.compared]


def _flat(one: Compared) -> dict[str, Any]:
    images = one.over_images
    return {
        "column": one.column.label,
        "better": one.better.name,
        "than": one.than.name,
        "bound": one.bound and one.bound.name,
        "seeds": list(one.seeds),
        "difference_percent": in_percent(one.difference),
        "seeds_tested_over_images": list(one.tested),
        "tested_difference_percent": in_percent(one.tested_difference),  # its sign is that of what the test found
        "images_differing": images and images.differing,
        "mcnemar_statistic": _short(images and images.statistic),
        "mcnemar_p": _short(images and images.p),
        "mcnemar_p_holm": _short(one.over_images_holm),
        "t_p": _short(one.over_seeds),
        "t_p_holm": _short(one.over_seeds_holm),
        "gap_closed": _short(one.gap_closed),
    }


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")
