"""What the tests of a table found, in words: a bullet per column and family of models."""

from __future__ import annotations

from collections.abc import Sequence

from stn_bench.results.comparisons import Compared, Comparisons
from stn_bench.results.spec import Row
from stn_bench.results.statistics import percent

ALPHA = 0.05


def sentences(comparisons: Comparisons) -> list[str]:
    """How to read the tests, then what they found, then what could not be tested; nothing where nothing is compared."""
    found = [one for one in comparisons.compared if one.difference is not None]
    families: dict[tuple[str, str], list[Compared]] = {}
    for one in found:
        families.setdefault((one.column.label, one.better.label), []).append(one)
    bullets = [f"{column}, {family}: {_clauses(group)}." for (column, family), group in families.items()]
    untested = len(comparisons.compared) - len(found)
    lacking = (
        [f"{untested} of {len(comparisons.compared)} comparisons have no seed that both rows were run with."]
        if untested
        else []
    )
    return [*_legend(found), *bullets, *comparisons.remarks, *lacking]


def p_text(p: float) -> str:
    """A p-value in two digits, or as many as it takes to stay on its side of 0.05; "< 0.001" for a small one."""
    if p < 0.001:
        return "< 0.001"
    texts = (f"{p:.{digits}g}" for digits in range(2, 18))
    return "= " + next(text for text in texts if (float(text) < ALPHA) == (p < ALPHA))


def _legend(found: Sequence[Compared]) -> list[str]:
    """What p and the verbs mean, once for all bullets."""
    images = sum(one.over_images is not None for one in found)
    seeds = [len(one.seeds) for one in found if one.over_seeds is not None]
    numbers = [f"{images} over images"] * (images > 0) + [f"{len(seeds)} over seeds"] * (len(seeds) > 0)
    lines = []
    if numbers:
        lines.append(
            f"Tests: every p is corrected by Holm's method for their number in this table, {' and '.join(numbers)}. "
            "Differences of mean errors are in points; fewer and more are said of the first named."
        )
    if images:
        lines.append(
            "p: McNemar's test over the test images, with the seeds as repeats (Durkalski et al. 2003). Would these "
            f"very networks differ on other images? It decides the verb, at {ALPHA}."
        )
    if seeds:
        freedom = " or ".join(str(n - 1) for n in sorted(set(seeds)))
        lines.append(
            "seeds p: a paired t test over the seeds. Would networks of other seeds differ? "
            f"With {freedom} degree{'' if freedom == '1' else 's'} of freedom it finds only what is large beside "
            "their spread."
        )
    if any(one.gap_closed is not None for one in found):
        lines.append("% of the way: to the mean error of the bound's runs, whatever their seeds.")
    if found and all(len(one.seeds) < 2 for one in found):
        lines.append("No two rows have two seeds to compare: whether other seeds would say the same is not tested.")
    elif len(seeds) < len(found):
        lines.append("Where no seeds p stands, there is one seed to compare, or all seeds differ by the same amount.")
    return lines


def _clauses(group: Sequence[Compared]) -> str:
    return "; ".join(_clause(one) for one in group)


def _clause(one: Compared) -> str:
    """E.g. `Aff beats CNN by 0.31 (p < 0.001, seeds p = 0.021)`."""
    assert one.difference is not None
    # p and the words beside it are of the same runs
    difference = one.difference if one.tested_difference is None else one.tested_difference
    points = percent(abs(difference))
    better, than = _short(one.better, one), _short(one.than, one)
    fewer = f"{points} {'more' if difference < 0 else 'fewer'}"
    inside = []
    if one.over_images_holm is not None and one.tested != one.seeds:  # seeds p is of all of them, and so is a share
        inside.append(f"on seeds {', '.join(map(str, one.tested))} alone")
    if one.over_images_holm is None:
        text = f"{better} is {points} {'above' if difference < 0 else 'below'} {than}"
        inside.append("not tested over images")
    elif one.over_images_holm < ALPHA:
        text = f"{better} {'is beaten by' if difference < 0 else 'beats'} {than} by {points}"
        if one.tested == one.seeds and one.gap_closed is not None and one.bound is not None and difference > 0:
            text += f", {100 * one.gap_closed:.0f} % of the way to {one.bound.name}"
        inside.append(f"p {p_text(one.over_images_holm)}")
    else:
        text = f"{better} and {than} are not told apart"
        inside += [fewer, f"p {p_text(one.over_images_holm)}"]
    if one.over_seeds_holm is not None:
        inside.append(f"seeds p {p_text(one.over_seeds_holm)}")
    return f"{text} ({', '.join(inside)})"


def _short(row: Row, one: Compared) -> str:
    """The transform's label alone within a family of models."""
    return row.transform_label if row.label == one.better.label and row.transform_label.strip("-") else row.name
