"""A table as text. Percent, plus-minus and bold exist where text is made only; every other number is a fraction."""

from __future__ import annotations

import csv as csv_format
import io
import json as json_format
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from stn_bench.results.comparison_rows import comparisons_csv, flat
from stn_bench.results.missing import fill_commands, missing_seeds
from stn_bench.results.spec import GROUPS
from stn_bench.results.table import Cell, Table
from stn_bench.results.wording import sentences

_LATEX = {character: rf"\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
}


def markdown(table: Table) -> str:
    """The table for GitHub and for the terminal: ours above the paper's, notes and commands below. Errors in %."""
    from tabulate import tabulate

    def pipes(text: str) -> str:
        return text.replace("|", r"\|")

    head, *body = _grid(table, pipes, "**{}**".format)
    grid = tabulate(body, head, tablefmt="pipe", disable_numparse=True, colalign=["left"] * len(head))
    lines = [_title(table), "", grid, "", *(f"- {note}" for note in [*_notes(table), *_tests(table), *_lacks(table)])]
    if commands := fill_commands(table):
        lines += ["", *(f"      {command}" for command in commands)]  # indented: code inside the last list item
    return "\n".join(lines) + "\n"


def latex(table: Table) -> str:
    r"""The table as a float, for a document that has `\usepackage{booktabs}`. Errors in %."""
    lines = _grid(table, _escape, r"\textbf{{{}}}".format)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    head, *body = [" & ".join(map(str.ljust, line, widths)) + r" \\" for line in lines]
    below = [_escape(note) for note in [*_notes(table), *_lacks(table)]]
    below += [rf"\texttt{{{_escape(command)}}}" for command in fill_commands(table)]
    parts = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\tabcolsep}{2.5pt}",  # four columns of cells fit a 345 pt page
        rf"\caption{{{_escape(_title(table))}}}",
        rf"\label{{tab:{table.spec.name}}}\medskip",
        rf"\begin{{tabular}}{{@{{}}{'l' * len(widths)}@{{}}}}",
        r"\toprule",
        head,
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        "",
        r"\medskip\raggedright",
        *(rf"{line}\par" for line in below),
        r"\end{table}",
        *(rf"{_escape(line)}\par" for line in _tests(table)),  # as text: a float must fit a page
    ]
    return "\n".join(parts) + "\n"


def csv(table: Table) -> str:
    """One line per cell, missing ones too: labels, choices, then ours, the paper's and the difference in %.

    A table that was tested is written as its comparisons instead, one per line: the cells are written without.
    """
    if table.comparisons is not None:
        return comparisons_csv(table.comparisons)
    out = io.StringIO()
    cells = _tidy(table)
    writer = csv_format.DictWriter(out, fieldnames=list(cells[0]) if cells else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({**cell, "seeds": " ".join(map(str, cell["seeds"]))} for cell in cells)
    return out.getvalue()


def json(table: Table) -> str:
    """The cells of `csv` as objects, with the table's title, source and notes and the commands that fill it."""
    content = {
        "name": table.spec.name,
        "title": table.spec.title,
        "source": table.spec.source,
        "cells": _tidy(table),
        "notes": [*table.row_notes, *table.notes],
        **({} if table.comparisons is None else {"comparisons": flat(table.comparisons)}),
        "to_fill": fill_commands(table),
    }
    return json_format.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _tidy(table: Table) -> list[dict[str, Any]]:
    """One flat object per cell; the keys are the columns of the CSV."""
    return [
        {
            "row": cell.row.name,
            "column": cell.column.label,
            **{group: cell.choices[group] for group in GROUPS},
            "mean_error_percent": _percent(cell.mean),
            "sd_percent": _percent(cell.sd),
            "n": len(cell.runs),
            "seeds": list(cell.seeds),
            "published_percent": _percent(cell.published),
            "difference_percent": _percent(cell.difference),
        }
        for cell in table.cells
    ]


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else round(100 * fraction, 4) + 0.0  # no -0.0; an image of 10,000 is 0.01 %


def _rounded(fraction: float, places: int) -> Decimal:
    """In percent; halves go up, so that 0.75 never counts as 0.7 for the way its bits fall."""
    return Decimal(repr(round(100 * fraction, 6))).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def _published_text(cell: Cell) -> str:
    return "" if cell.published is None else repr(round(100 * cell.published, 6))  # 2.0 stays "2.0"


def _at_or_below_paper(cell: Cell) -> bool:
    """Whether ours, rounded to as many decimals as the paper gives, is no larger than the paper's."""
    if cell.mean is None or cell.published is None:
        return False
    published = Decimal(_published_text(cell))
    return _rounded(cell.mean, -int(published.as_tuple().exponent)) <= published


def _title(table: Table) -> str:
    named = [f"{name} {value}" for name, value in (("recipe", table.recipe), ("tag", table.tag)) if value]
    return "; ".join([table.spec.title, *named, *([f"paper: {table.spec.source}"] if _compared(table) else [])])


def _compared(table: Table) -> bool:
    return any(cell.published is not None for cell in table.cells)


def _grid(table: Table, escape: Callable[[str], str], bold: Callable[[str], str]) -> list[list[str]]:
    """The headings, then for each row our numbers and, right below them, the paper's."""
    transforms = any(cell.row.transform_label for cell in table.cells)
    compared = _compared(table)

    def line(label: str, transform: str, whose: str, cells: list[str]) -> list[str]:
        return [escape(label), *[escape(transform)] * transforms, *[whose] * compared, *cells]

    first = table.rows[0] if table.rows else ()
    lines = [line("model", "transform", "", [escape(cell.column.label) for cell in first])]
    for cells in table.rows:
        row = cells[0].row
        lines.append(line(row.label, row.transform_label, "ours", [_ours(cell, escape, bold) for cell in cells]))
        if any(cell.published is not None for cell in cells):
            lines.append(line("", "", "paper", [_published_text(cell) for cell in cells]))
    return lines


def _ours(cell: Cell, escape: Callable[[str], str], bold: Callable[[str], str]) -> str:
    if cell.mean is None:
        return escape("-")
    mean = str(_rounded(cell.mean, 2))
    spread = "" if cell.sd is None else f" ± {_rounded(cell.sd, 2)}"
    return (bold(mean) if _at_or_below_paper(cell) else mean) + escape(f"{spread} ({len(cell.runs)})")


def _notes(table: Table) -> list[str]:
    """What the marks mean, and the table's own notes."""
    notes = []
    runs = [run for cell in table.cells for run in cell.runs]
    if runs:
        legend = "ours: mean over n seeds ± their sample standard deviation (n); one seed alone has no ±."
        bold = " Bold: at or below the paper's, rounded as the paper rounds." if _compared(table) else ""
        best = min(runs, key=lambda run: (run.error, run.images))
        low, high = (_rounded(bound, 2) for bound in best.wilson_95)
        notes += [
            legend + bold,
            f"± says how much seeds differ; the choice of test images adds to it: one run with {best.errors} errors "
            f"among {best.images:,} has a 95 % Wilson interval of {low} to {high} %.",
        ]
    return [*notes, *table.notes[: len(table.spec.notes)], *table.row_notes, *table.notes[len(table.spec.notes) :]]


def _tests(table: Table) -> list[str]:
    return [] if table.comparisons is None else sentences(table.comparisons)


def _lacks(table: Table) -> list[str]:
    """How many cells are missing."""
    empty = sum(not cell.runs for cell in table.distinct)
    short = sum(bool(cell.runs and missing_seeds(cell, table.wanted)) for cell in table.distinct)
    lacks = [f"a cell marked - has no run, {empty} of {len(table.distinct)}"] if empty else []
    lacks += [f"{short} of {len(table.distinct)} have fewer than {table.wanted} runs"] if short else []
    words = "; ".join(lacks)
    return [f"{words[0].upper()}{words[1:]}. To fill them:"] if words else []


def _escape(text: str) -> str:
    """Text as LaTeX: a lone dash becomes an en dash, `code` in backticks becomes typewriter."""
    if text == "-":
        return "--"
    escaped = "".join(_LATEX.get(character, character) for character in text).replace("--", "-{}-")
    escaped = escaped.replace(r" $\pm$ ", r"\,$\pm$\,")
    return re.sub("`([^`]*)`", lambda code: rf"\texttt{{{code[1]}}}", escaped)
