"""A table as a figure: a panel per column, a line per row, ours beside the published errors on one scale."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stn_bench.errors import UserError
from stn_bench.results.statistics import wilson_interval
from stn_bench.results.table import Cell, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

FORMATS = (".png", ".svg", ".pdf")
OURS, PAPER = "#0072b2", "#d55e00"  # blue and vermilion of Okabe and Ito: told apart by all, and by their shapes
GREY = "#d0d0d0"
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)  # percent


class FigureError(UserError, ValueError):
    """A figure that cannot be written: the message says why."""


def save_figure(table: Table, path: Path) -> None:
    """Draw the table into a PNG, SVG or PDF file: the same bytes from the same runs and the same matplotlib.

    Its description (the subject of a PDF) is `fingerprint(table)`.
    Raises `FigureError` for a file of another kind, `OSError` where it cannot be written.
    """
    if path.suffix not in FORMATS:
        raise FigureError(f"{path} is not of a kind that can be drawn: end its name in {', '.join(FORMATS)}")
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": table.spec.name}):
        drawn = fingerprint(table)
        metadata: dict[str, dict[str, str | None]] = {  # without the date and the version of matplotlib
            ".png": {"Description": drawn, "Software": None},
            ".svg": {"Description": drawn, "Date": None},
            ".pdf": {"Subject": drawn, "CreationDate": None, "Creator": None, "Producer": None},
        }
        draw(table).savefig(path, dpi=200, metadata=metadata[path.suffix])


def fingerprint(table: Table) -> str:
    """What tells a figure of these numbers from one of others, whichever matplotlib drew it: a SHA-256 in words."""
    cells = [
        (cell.row.name, cell.column.label, cell.published, [(run.error, run.images) for run in cell.runs])
        for cell in table.cells
    ]
    return f"cells with SHA-256 {sha256(repr(cells).encode()).hexdigest()}"


def draw(table: Table) -> Figure:
    """Each cell with a run as the mean over its seeds, the seeds themselves and an interval; each published error.

    The bar is the 95 % Wilson interval of the mean error on so many test images: how far the choice of test images may
    move it. How much seeds differ is seen from the seeds. The axis of errors is logarithmic and shared by the panels.
    A cell without a run has no mark of ours, one that was not published none of the paper's.
    """
    from matplotlib.figure import Figure  # not pyplot: no display, no global state

    columns = list(table.rows[0]) if table.rows else []
    figure = Figure(figsize=(9, 1.25 + 0.27 * len(table.rows)), facecolor="white", layout="constrained")
    if not columns:
        figure.text(0.5, 0.5, "no row has a run", ha="center")
        return figure
    panels = figure.subplots(1, len(columns), sharex=True, sharey=True, squeeze=False)[0]
    for i, axes in enumerate(panels):
        _panel(axes, [row[i] for row in table.rows])
    _scale(panels[0], table)
    figure.supxlabel("test error in %, logarithmic scale", fontsize=9)
    handles = _legend(table)
    figure.legend(handles=handles, loc="outside upper center", ncols=max(1, len(handles)), frameon=False, fontsize=8.5)
    return figure


def _panel(axes: Axes, cells: list[Cell]) -> None:
    axes.set_title(cells[0].column.label, fontsize=10, fontweight="bold")
    for y, cell in enumerate(cells):
        if y and cell.row.label != cells[y - 1].row.label:
            axes.axhline(y - 0.5, color=GREY, linewidth=0.8, zorder=0)
        if cell.published is not None:
            x = 100 * cell.published
            axes.plot([x, x], [y - 0.34, y + 0.34], color=PAPER, linewidth=2.2, zorder=2, gid=f"paper/{_name(cell)}")
        if cell.mean is not None:
            bar = [100 * end for end in _interval(cell)]
            axes.plot(bar, [y, y], color=OURS, linewidth=1.5, zorder=3, gid=f"interval/{_name(cell)}")
            axes.plot(100 * cell.mean, y, "o", color=OURS, markersize=5.5, zorder=5, gid=f"ours/{_name(cell)}")
        if len(cell.runs) > 1:
            seeds = [100 * run.error for run in cell.runs]
            look: dict[str, Any] = {"markersize": 3.2, "markerfacecolor": "white", "markeredgewidth": 0.8, "zorder": 4}
            axes.plot(seeds, [y + 0.26] * len(seeds), "o", color=OURS, **look, gid=f"seeds/{_name(cell)}")
    axes.set_yticks(range(len(cells)), [cell.row.name for cell in cells], fontsize=9)
    axes.set_ylim(len(cells) - 0.5, -0.5)
    axes.grid(axis="x", color=GREY, linewidth=0.4)
    axes.tick_params(length=0, labelsize=8.5)
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)


def _interval(cell: Cell) -> tuple[float, float]:
    assert cell.mean is not None
    return wilson_interval(round(cell.mean * cell.runs[0].images), cell.runs[0].images)


def _name(cell: Cell) -> str:
    return f"{cell.column.label}/{cell.row.name}"


def _scale(axes: Axes, table: Table) -> None:
    """A logarithmic axis with a little room around all marks, and labels in plain percent."""
    shown = [run.error for cell in table.cells for run in cell.runs]
    shown += [end for cell in table.cells if cell.runs for end in _interval(cell)]
    shown += [cell.published for cell in table.cells if cell.published is not None]
    percent = [100 * error for error in shown if error > 0] or [1.0]
    axes.set_xscale("log")
    axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axes.minorticks_off()
    axes.set_xlim(min(percent) / 1.15, max(percent) * 1.15)  # after the ticks, which would widen it


def _legend(table: Table) -> list[Line2D]:
    from matplotlib.lines import Line2D

    def mark(label: str, marker: str = "o", **look: Any) -> Line2D:
        return Line2D([], [], label=label, **{"color": OURS, "linestyle": "none", "marker": marker, **look})

    entries = []
    if runs := [run for cell in table.cells for run in cell.runs]:
        images = f"95 % interval for the choice of {runs[0].images:,} test images"
        several = any(len(cell.runs) > 1 for cell in table.cells)
        entries.append(mark("ours, mean over seeds" if several else "ours", markersize=5.5))
        if several:
            entries.append(mark("each seed", markersize=3.2, markerfacecolor="white", markeredgewidth=0.8))
        entries.append(mark(images, "", linestyle="-", linewidth=1.5))
    if any(cell.published is not None for cell in table.cells):
        entries.append(mark("paper", "|", color=PAPER, markersize=13, markeredgewidth=2.2))
    return entries
