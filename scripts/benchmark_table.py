"""The benchmark's rows, and the table of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from tabulate import tabulate

MARGIN = {True: "at most", False: "at least"}


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    unit: str
    ours: float
    baseline: float | None
    figure: float
    """What is compared with the target: a ratio, or an absolute number where there is no baseline."""
    target: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Whether the target is."""
        return self.figure <= self.target if self.at_most else self.figure >= self.target


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown."""
    lines = []
    for row in rows:
        number = ",.0f" if row.ours >= 100 else ".2f"
        figure = f"{row.figure:.2f}" if row.figure < 10 else f"{row.figure:.0f}"
        lines.append(
            [
                row.what,
                f"{row.ours:{number}} {row.unit}",
                "" if row.baseline is None else f"{row.baseline:{number}} {row.unit}",
                figure + ("" if row.baseline is None else "x"),
                f"{MARGIN[row.at_most]} {row.target:g}" + ("" if row.met else " (missed)"),
            ]
        )
    return tabulate(lines, ["", "ours", "baseline", "figure", "target"], "github", disable_numparse=True)
