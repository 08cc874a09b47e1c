"""The comparisons that a table's YAML lists, tested in every column on the runs that the cells hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from stn_bench.results.agreement import paired
from stn_bench.results.predictions import PredictionsError, wrong_predictions
from stn_bench.results.record import RunRecord
from stn_bench.results.significance import McNemar, clustered_mcnemar, holm, paired_t
from stn_bench.results.spec import Column, Row
from stn_bench.results.table import Cell, Table

_UNTESTED = "Not tested over images"


@dataclass(frozen=True)
class Compared:
    """What the runs of two cells of a column say of each other. Errors are fractions; None: cannot be told."""

    column: Column
    better: Row  # expected to err less
    than: Row
    bound: Row | None
    seeds: tuple[int, ...]  # that both cells have, ascending: what follows is of these runs, if nothing else is said
    difference: float | None = None  # mean error of `than` minus that of `better`
    tested: tuple[int, ...] = ()  # the seeds whose predictions can be used
    tested_difference: float | None = None  # the same of those, of which the test over images speaks
    over_images: McNemar | None = None
    over_images_holm: float | None = None  # p, corrected for all comparisons of the table
    over_seeds: float | None = None  # p of the paired t test
    over_seeds_holm: float | None = None
    gap_closed: float | None = None  # the difference as a share of that between `than` and all runs of the bound


@dataclass(frozen=True)
class Comparisons:
    """All comparisons of a table, column by column, and what a reader has to be told about their runs."""

    compared: tuple[Compared, ...]
    remarks: tuple[str, ...] = ()


def with_tests(table: Table) -> Table:
    """The same table with the comparisons of its YAML tested, as far as its rows are shown and its runs allow.

    The predictions are read from the folders of the runs; those that cannot be used are left out of the test over
    images with a remark. Both kinds of p-values are corrected by Holm's method, each over all comparisons tested.
    """
    reader = _Reader()
    cells = {(cell.row.name, cell.column.label): cell for cell in table.cells}
    compared = []
    for column in table.spec.columns:
        for comparison in table.spec.comparisons:
            better, than = (cells.get((name, column.label)) for name in (comparison.better, comparison.than))
            if better is not None and than is not None:  # both are shown
                bound = cells.get((comparison.bound or "", column.label))
                compared.append(_compare(better, than, bound, reader))
    corrected = zip(
        compared,
        _corrected([one.over_images and one.over_images.p for one in compared]),
        _corrected([one.over_seeds for one in compared]),
        strict=True,
    )
    final = [replace(one, over_images_holm=images, over_seeds_holm=seeds) for one, images, seeds in corrected]
    return replace(table, comparisons=Comparisons(tuple(final), reader.remarks))


def _compare(better: Cell, than: Cell, bound: Cell | None, reader: _Reader) -> Compared:
    pairs = paired(better.runs, than.runs)
    seeds = tuple(ours.seed for ours, _ in pairs)
    compared = Compared(better.column, better.row, than.row, bound.row if bound else None, seeds)
    if not pairs:
        return compared
    errors, others = [ours.error for ours, _ in pairs], [theirs.error for _, theirs in pairs]
    difference = _difference(pairs)
    gap = None if bound is None or bound.mean is None else fmean(others) - bound.mean
    tested, over_images = _over_images(better, than, pairs, reader)
    return replace(
        compared,
        difference=difference,
        tested=tested,
        tested_difference=_difference([pair for pair in pairs if pair[0].seed in tested]) if tested else None,
        over_images=over_images,
        over_seeds=paired_t(errors, others),
        gap_closed=difference / gap if gap is not None and gap > 1e-9 else None,  # rounding leaves less
    )


def _difference(pairs: Sequence[tuple[RunRecord, RunRecord]]) -> float:
    """The mean error of the second of each pair, minus that of the first."""
    return fmean(theirs.error for _, theirs in pairs) - fmean(ours.error for ours, _ in pairs)


def _over_images(
    better: Cell, than: Cell, pairs: Sequence[tuple[RunRecord, RunRecord]], reader: _Reader
) -> tuple[tuple[int, ...], McNemar | None]:
    images = _images(pairs[0][0])
    if any(_images(run) != images for pair in pairs for run in pair):
        reader.remark(f"{_UNTESTED}, not evaluated on the same images", _place(better, than))
        return (), None
    found = []
    for pair in pairs:
        wrong = [reader.wrong(cell, run) for cell, run in zip((better, than), pair, strict=True)]
        if wrong[0] is not None and wrong[1] is not None:
            found.append((pair[0].seed, *wrong))
    if not found:
        return (), None
    seeds, ours, theirs = zip(*found, strict=True)
    return seeds, clustered_mcnemar(sum(ours), sum(theirs))


def _place(better: Cell, than: Cell) -> str:
    return f"{better.row.name} and {than.row.name} on {better.column.label}"


def _images(run: RunRecord) -> tuple[object, ...]:
    """What decides which images a run was evaluated on."""
    data = run.config.get("data")
    return run.images, run.data_sha256, data.get("distortion") if isinstance(data, Mapping) else None


def _corrected(ps: Sequence[float | None]) -> list[float | None]:
    corrected = iter(holm([p for p in ps if p is not None]))
    return [None if p is None else next(corrected) for p in ps]


class _Reader:
    """Reads the predictions of each run once, and notes what is wrong with those that cannot be used."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, str, int], Any] = {}
        self._places: dict[str, list[str]] = {}  # by reason

    @property
    def remarks(self) -> tuple[str, ...]:
        """A sentence for each reason, with the runs that it is about."""
        return tuple(
            f"{reason}: {'; '.join(places[:3])}" + (f" and {len(places) - 3} more." if len(places) > 3 else ".")
            for reason, places in self._places.items()
        )

    def remark(self, reason: str, place: str) -> None:
        """Note what a reader has to be told, and where."""
        self._places.setdefault(reason, []).append(place)

    def wrong(self, cell: Cell, run: RunRecord) -> Any:
        """Per image 1 for a wrong prediction and 0 for a right one; None where the predictions cannot be used."""
        key = (cell.row.name, cell.column.label, run.seed)
        if key not in self._read:
            self._read[key] = None
            try:
                self._read[key] = wrong_predictions(run).astype(int)
            except PredictionsError as error:
                self.remark(f"{_UNTESTED}, {error}", f"{cell.row.name} on {cell.column.label}, seed {run.seed}")
        return self._read[key]
