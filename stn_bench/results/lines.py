"""What people read of a table: the lines of its grid, its title, and the notes below."""

from __future__ import annotations

from collections.abc import Callable

from stn_bench.results.missing import missing_seeds
from stn_bench.results.statistics import percent
from stn_bench.results.table import Cell, Table
from stn_bench.results.wording import sentences


def title(table: Table) -> str:
    """What the table shows, by which recipe, and whose numbers stand beside ours."""
    named = [f"{name} {value}" for name, value in (("recipe", table.recipe), ("tag", table.tag)) if value]
    return "; ".join([table.spec.title, *named, *([f"paper: {table.spec.source}"] if _compared(table) else [])])


def cells_grid(table: Table, escape: Callable[[str], str], bold: Callable[[str], str]) -> list[list[str]]:
    """The headings, then for each row our numbers and, right below them, the paper's. Errors in %.

    `escape` makes text safe in a format; `bold` marks what is at or below the paper's.
    """
    transforms = any(cell.row.transform_label for cell in table.cells)
    compared = _compared(table)

    def line(label: str, transform: str, whose: str, cells: list[str]) -> list[str]:
        return [escape(label), *[escape(transform)] * transforms, *[whose] * compared, *cells]

    first = table.rows[0] if table.rows else ()
    lines = [line("model", "transform", "", [escape(cell.column.label) for cell in first])]
    for cells in table.rows:
        row, decimals = cells[0].row, table.spec.decimals
        ours = [_ours(cell, decimals, escape, bold) for cell in cells]
        lines.append(line(row.label, row.transform_label, "ours", ours))
        if any(cell.published is not None for cell in cells):
            lines.append(line("", "", "paper", [_published_text(cell, decimals) for cell in cells]))
    return lines


def notes(table: Table) -> list[str]:
    """What the marks mean, the notes of the YAML on table and rows, and those on the runs."""
    marks = []
    runs = [run for cell in table.cells for run in cell.runs]
    if runs:
        legend = "ours: mean over n seeds ± their sample standard deviation (n); one seed alone has no ±."
        bold = " Bold: at or below the paper's, rounded as the paper rounds." if _compared(table) else ""
        best = min(runs, key=lambda run: (run.error, run.images))
        low, high = (percent(bound, 2) for bound in best.wilson_95)
        marks += [
            legend + bold,
            f"± says how much seeds differ; the choice of test images adds to it: one run with {best.errors} errors "
            f"among {best.images:,} has a 95 % Wilson interval of {low} to {high} %.",
        ]
    return [*marks, *table.spec.notes, *table.row_notes, *table.notes]


def findings(table: Table) -> list[str]:
    """What the tests say of the differences, a sentence or more for each column and family."""
    return [] if table.comparisons is None else sentences(table.comparisons)


def lacks(table: Table) -> list[str]:
    """How many cells are missing, and that commands below would fill them; nothing if none is."""
    empty = sum(not cell.runs for cell in table.distinct)
    short = sum(bool(cell.runs and missing_seeds(cell, table.wanted)) for cell in table.distinct)
    words = [f"a cell marked - has no run, {empty} of {len(table.distinct)}"] if empty else []
    words += [f"{short} of {len(table.distinct)} have fewer than {table.wanted} runs"] if short else []
    sentence = "; ".join(words)
    what = f"To fill them, with whatever else tag {table.tag} stands for added" if table.tag else "To fill them"
    return [f"{sentence[0].upper()}{sentence[1:]}. {what}:"] if words else []


def _ours(cell: Cell, decimals: int, escape: Callable[[str], str], bold: Callable[[str], str]) -> str:
    if cell.mean is None:
        return escape("-")
    mean = str(percent(cell.mean, 2))
    spread = "" if cell.sd is None else f" ± {percent(cell.sd, 2)}"
    return (bold(mean) if _at_or_below_paper(cell, decimals) else mean) + escape(f"{spread} ({len(cell.runs)})")


def _published_text(cell: Cell, decimals: int) -> str:
    return "" if cell.published is None else str(percent(cell.published, decimals))


def _at_or_below_paper(cell: Cell, decimals: int) -> bool:
    """Whether ours, rounded to as many decimals as the paper gives, is no larger than the paper's."""
    if cell.mean is None or cell.published is None:
        return False
    return percent(cell.mean, decimals) <= percent(cell.published, decimals)


def _compared(table: Table) -> bool:
    return any(cell.published is not None for cell in table.cells)
