"""A table is a pure function of run records and of one YAML with labels and published numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from stn_bench.errors import UserError
from stn_bench.results.agreement import data_of, differences, listed, recipes_of, training_of
from stn_bench.results.record import RunRecord
from stn_bench.results.spec import GROUPS, Column, Comparison, Row, TableSpec

if TYPE_CHECKING:
    from stn_bench.results.comparisons import Comparisons

PREFERRED_RECIPE = "fast"  # shown where runs of several recipes exist and none was asked for
WANTED = 3  # runs of a cell


class TagOfRow(UserError, ValueError):
    """A tag that was asked for in the whole table, but is one that a row has for itself."""


@dataclass(frozen=True)
class Cell:
    """The runs of one row and column, and what was published. All errors are fractions."""

    row: Row
    column: Column
    choices: Mapping[str, str | None]  # what its runs have chosen, one entry per config group
    published: float | None
    runs: tuple[RunRecord, ...] = ()  # one per seed, in the order of the seeds

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the runs, ascending."""
        return tuple(run.seed for run in self.runs)

    @property
    def mean(self) -> float | None:
        """The mean test error over the seeds; None for a missing cell."""
        return fmean(run.error for run in self.runs) if self.runs else None

    @property
    def sd(self) -> float | None:
        """The sample standard deviation over the seeds; None for fewer than two."""
        return stdev(run.error for run in self.runs) if len(self.runs) > 1 else None

    @property
    def difference(self) -> float | None:
        """Our mean minus the published error; None where either is missing."""
        return None if self.mean is None or self.published is None else self.mean - self.published


@dataclass(frozen=True)
class Table:
    """Rows of cells, and what a reader has to be told about them."""

    spec: TableSpec
    recipe: str | None  # None: no run matches, so no recipe is known
    tag: str | None
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...]  # on its runs; those of its YAML are in `spec`
    wanted: int = WANTED  # runs of a cell below which some are missing
    comparisons: Comparisons | None = None  # None: nobody asked, see comparisons.with_tests

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells, row by row."""
        return tuple(cell for row in self.rows for cell in row)

    @property
    def distinct(self) -> tuple[Cell, ...]:
        """All cells, but of those with the same runs, as in a row that spans the columns, the first one only."""
        return tuple({tuple(sorted(cell.choices.items())): cell for cell in reversed(self.cells)}.values())[::-1]

    @property
    def row_notes(self) -> tuple[str, ...]:
        """The notes of the rows, each once."""
        return tuple(dict.fromkeys(row[0].row.note for row in self.rows if row and row[0].row.note))


def build_table(
    spec: TableSpec, records: Sequence[RunRecord], recipe: str | None = None, tag: str | None = None
) -> Table:
    """Sort the runs that were evaluated on the test set into cells; the order of `records` does not matter.

    Runs with a tag count only where that tag is asked for, here or by a row for itself. Recipes are never mixed:
    without `recipe` the runs of `fast` are taken if there are any, and a note names the others. A seed counts once per
    cell. Runs of one cell whose configs differ in more than the seed are noted by the keys that differ; so are rows
    that were not trained by one recipe and columns whose rows were not run on one data, since both may change under
    their names, and rows that the YAML compares, but that were not trained by one recipe to one budget.
    Raises `TagOfRow` for a tag that a row has for itself.
    """
    matches = [row.match_in(column) for row in spec.rows for column in spec.columns]
    if tag is not None and (rows_of_tag := [row.name for row in spec.rows if row.match.get("tag") == tag]):
        raise TagOfRow(f"runs with the tag {tag} are those of {', '.join(rows_of_tag)}: ask for the table without it")
    of_table = [run for run in records if any(_in_cell(run, match) for match in matches)]
    on_test = [run for run in of_table if run.evaluated_on == "test"]
    free = [{"tag": tag, **match} for match in matches if "recipe" not in match]
    recipes = {run.choices["recipe"] for run in on_test if any(_in_cell(run, match) for match in free)}
    if recipe is None:
        recipe = min(recipes, key=lambda name: (name != PREFERRED_RECIPE, name), default=None)
    tags = {tag, *(match.get("tag") for match in matches)}
    notes = _left_out(of_table, recipes, recipe, tags)
    remarks: dict[str, list[str]] = defaultdict(list)  # each with the places that it is about
    usual = dict.fromkeys(GROUPS) | {"recipe": recipe, "tag": tag}
    rows = tuple(_row(row, spec.columns, usual, on_test, remarks) for row in spec.rows)
    for cells in zip(*rows, strict=True):
        _remark_on_column(cells, spec.comparisons, remarks)
    notes += [f"{listed(list(dict.fromkeys(places)), 3)}: {remark}" for remark, places in remarks.items()]
    return Table(spec, recipe, tag, rows, tuple(notes))


def with_runs(table: Table) -> Table:
    """The same table without the rows and the columns that have no run at all; one run fills a cell of it."""
    kept = [cell.column for cell in table.cells if cell.runs and not cell.row.spans] or table.spec.columns
    rows = tuple(tuple(cell for cell in row if cell.column in kept) for row in table.rows if any(c.runs for c in row))
    shown = replace(table, rows=rows, wanted=1)
    if len(shown.cells) == len(table.cells):
        return table
    counts = f"{len(shown.distinct)} of {len(table.distinct)}"
    note = f"Rows and columns without a run are left out: {counts} cells are shown."
    return replace(shown, notes=(*table.notes, note))


def _in_cell(run: RunRecord, choices: Mapping[str, str | None]) -> bool:
    made: dict[str, Any] = {**run.choices}
    return all(made[group] == value for group, value in choices.items())


def _row(
    row: Row,
    columns: Sequence[Column],
    usual: Mapping[str, str | None],
    runs: Sequence[RunRecord],
    remarks: dict[str, list[str]],
) -> tuple[Cell, ...]:
    """The cells of a row, each with its runs; what a reader has to be told of them is added to the remarks."""
    cells = []
    for column, published in zip(columns, row.published, strict=True):
        choices = {**usual, **row.match_in(column)}
        counted, twice = _one_per_seed([run for run in runs if _in_cell(run, choices)])
        for remark in twice + differences(counted):
            remarks[remark].append(row.name if row.spans else f"{row.name} on {column.label}")
        cells.append(Cell(row, column, choices, published, tuple(counted)))
    if remark := recipes_of([cell.runs[0] for cell in cells if cell.runs]):
        remarks[remark].append(row.name)
    return tuple(cells)


def _remark_on_column(cells: Sequence[Cell], comparisons: Sequence[Comparison], remarks: dict[str, list[str]]) -> None:
    """Add what a reader has to be told of the cells of a column beside one another."""
    label = cells[0].column.label
    alike: dict[Any, list[RunRecord]] = defaultdict(list)  # a row's own tag says that it is another task
    for cell in cells:
        alike[cell.choices["data"], cell.choices["tag"]] += cell.runs[:1]
    for remark in filter(None, map(data_of, alike.values())):
        remarks[remark].append(label)
    runs = {cell.row.name: cell.runs for cell in cells}
    for comparison in comparisons:
        if remark := training_of(runs[comparison.better], runs[comparison.than]):
            remarks[remark].append(f"{comparison.better} and {comparison.than} on {label}")


def _left_out(
    of_table: Sequence[RunRecord], recipes: set[str], recipe: str | None, shown_tags: Set[str | None]
) -> list[str]:
    """Notes on runs of this table that are not in it, and how to see them."""
    notes = []
    if others := [f"`--recipe {name}`" for name in sorted(recipes - {recipe})]:
        shown = f"Only runs of recipe {recipe} are shown" if recipe in recipes else f"No run has recipe {recipe}"
        notes.append(f"{shown}; see others with {' or '.join(others)}.")
    tags = {run.choices["tag"] or "" for run in of_table if run.evaluated_on == "test"} - {*shown_tags, ""}
    if others := [f"`--tag {name}`" for name in sorted(tags)]:
        notes.append(f"Runs with another tag are left out; see them with {' or '.join(others)}.")
    if validated := sum(run.evaluated_on != "test" for run in of_table):
        notes.append(f"Runs evaluated on validation images are left out ({validated}).")
    return notes


def _one_per_seed(runs: Sequence[RunRecord]) -> tuple[list[RunRecord], list[str]]:
    """The runs by seed, the one that finished first where a seed was run twice, and a remark on each such seed."""
    chosen: dict[int, RunRecord] = {}
    remarks = []
    for run in sorted(runs, key=lambda run: (run.seed, run.finished_at, run.error, str(run.folder))):
        first = chosen.setdefault(run.seed, run)
        if run != first:  # a copy of the same record is equal, and needs no remark
            remarks.append(
                f"seed {run.seed} was run more than once; {first.folder}, which finished first, counts and "
                f"{run.folder} does not."
            )
    return list(chosen.values()), remarks
