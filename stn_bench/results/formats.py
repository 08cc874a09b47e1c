"""A table as text, in four formats. Errors are in % here and in `lines.py` only; every other number is a fraction."""

from __future__ import annotations

import csv as csv_format
import io
import json as json_format
import re
from typing import Any

from stn_bench.results.comparison_rows import flat
from stn_bench.results.lines import cells_grid, findings, lacks, notes, title
from stn_bench.results.missing import fill_commands
from stn_bench.results.spec import GROUPS
from stn_bench.results.statistics import in_percent
from stn_bench.results.table import Table

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

    head, *body = cells_grid(table, pipes, "**{}**".format)
    grid = tabulate(body, head, tablefmt="pipe", disable_numparse=True, colalign=["left"] * len(head))
    lines = [title(table), "", grid, "", *(f"- {note}" for note in [*notes(table), *findings(table), *lacks(table)])]
    if commands := fill_commands(table):
        lines += ["", *(f"      {command}" for command in commands)]  # indented: code inside the last list item
    return "\n".join(lines) + "\n"


def latex(table: Table) -> str:
    r"""The table as a float, for a document that has `\usepackage{booktabs}`. Errors in %."""
    lines = cells_grid(table, _escape, r"\textbf{{{}}}".format)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    head, *body = [" & ".join(map(str.ljust, line, widths)) + r" \\" for line in lines]
    below = [_escape(note) for note in [*notes(table), *lacks(table)]]
    below += [rf"\texttt{{{_escape(command)}}}" for command in fill_commands(table)]
    parts = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\tabcolsep}{2.5pt}",  # four columns of cells fit a 345 pt page
        rf"\caption{{{_escape(title(table))}}}",
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
        *(rf"{_escape(line)}\par" for line in findings(table)),  # as text: a float must fit a page
    ]
    return "\n".join(parts) + "\n"


def csv(table: Table) -> str:
    """One line per cell, missing ones too: labels, choices, then ours, the paper's and the difference in %.

    A table that was tested is written as its comparisons instead, one per line: the cells are written without.
    """
    lines = _tidy(table) if table.comparisons is None else flat(table.comparisons)
    out = io.StringIO()
    writer = csv_format.DictWriter(out, fieldnames=list(lines[0]) if lines else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _words(value) for key, value in line.items()} for line in lines)
    return out.getvalue()


def json(table: Table) -> str:
    """The cells of `csv` as objects, with the table's title, source and notes and the commands that fill it."""
    remarks = table.comparisons.remarks if table.comparisons else ()
    content = {
        "name": table.spec.name,
        "title": table.spec.title,
        "source": table.spec.source,
        "cells": _tidy(table),
        "notes": [*table.row_notes, *table.spec.notes, *table.notes, *remarks],
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
            "mean_error_percent": in_percent(cell.mean),
            "sd_percent": in_percent(cell.sd),
            "n": len(cell.runs),
            "seeds": list(cell.seeds),
            "published_percent": in_percent(cell.published),
            "difference_percent": in_percent(cell.difference),
        }
        for cell in table.cells
    ]


def _words(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, list) else value


def _escape(text: str) -> str:
    """Text as LaTeX: a lone dash becomes an en dash, `code` in backticks becomes typewriter."""
    if text == "-":
        return "--"
    escaped = "".join(_LATEX.get(character, character) for character in text).replace("--", "-{}-")
    escaped = escaped.replace(r" $\pm$ ", r"\,$\pm$\,")
    return re.sub("`([^`]*)`", lambda code: rf"\texttt{{{code[1]}}}", escaped)
