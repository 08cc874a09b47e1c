"""The tests of a table as data: one flat object per comparison and column, for JSON and for a CSV of their own."""

from __future__ import annotations

import csv
import io
from typing import Any

from stn_bench.results.comparisons import Compared, Comparisons

DIGITS = 4
"""Significant ones that are written: libraries may differ in the last of a float."""


def flat(comparisons: Comparisons) -> list[dict[str, Any]]:
    """One object per comparison and column, those without runs too; differences are in percent of the images."""
    return [_flat(one) for one in comparisons.compared]


def comparisons_csv(comparisons: Comparisons) -> str:
    """The objects of `flat`, one per line."""
    out = io.StringIO()
    rows = flat(comparisons)
    writer = csv.DictWriter(out, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _words(value) for key, value in row.items()} for row in rows)
    return out.getvalue()


def _flat(one: Compared) -> dict[str, Any]:
    images = one.over_images
    return {
        "column": one.column.label,
        "better": one.better.name,
        "than": one.than.name,
        "bound": one.bound and one.bound.name,
        "seeds": list(one.seeds),
        "difference_percent": None if one.difference is None else round(100 * one.difference, 4) + 0.0,
        "seeds_tested_over_images": list(one.tested),
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


def _words(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, list) else value
