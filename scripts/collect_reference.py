"""Copy finished runs into a folder of reference records, small enough to commit, and write what is published of them.

    python scripts/collect_reference.py outputs/runs outputs/reference/distorted_mnist
    python scripts/collect_reference.py outputs/runs outputs/reference/distorted_mnist_paper --recipe paper

Keeps `result.json` and the predicted classes of each run that was evaluated on test digits and has no tag, or one of
the table's own; leaves weights, theta and logs behind. The labels of the test digits are kept once, in `labels.npz`,
and every run must have as many wrong predictions as its record says. Beside the records it writes the table as
`stn-table` prints it (`table.md`, `table.tex`, `table.csv`, `tests.csv`, `figure.png`) and the training time
(`totals.md`).
Records that are in the folder already stay there: nothing is copied where one would take the place of another.
Given as both folders, it gets new tables of the records it has.
"""

import argparse
import os
import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tabulate import tabulate

from stn_bench.cli.table import DEFAULT_TABLE, read_table
from stn_bench.cli.table import main as stn_table
from stn_bench.results.predictions import (
    LABELS_NAME,
    PREDICTIONS_NAME,
    PredictionsError,
    check_against,
    read_predictions,
)
from stn_bench.results.record import FILE_NAME, RunRecord, find_records
from stn_bench.results.table import Cell, build_table

TABLES = {
    "table.md": ["--tests"],
    "table.tex": ["--tests", "--format", "latex"],
    "table.csv": ["--format", "csv"],
    "tests.csv": ["--tests", "--format", "csv"],
}
"""The options of `stn-table` that print each file."""

FIGURE = "figure.png"

CORES = 2
"""Of the machine that the total is told for."""


def collect(runs: Path, reference: Path, recipe: str) -> int:
    """Copy the runs of a recipe and return how many. Raises SystemExit for one whose predictions contradict it."""
    tags = {None, *(row.match.get("tag") for row in read_table(DEFAULT_TABLE).rows)}
    records = [
        record
        for record in find_records(runs)
        if record.choices["recipe"] == recipe and record.choices["tag"] in tags and record.evaluated_on == "test"
    ]
    for record, source, folder in copies(records, runs, reference):
        predictions, labels = _arrays(record)
        folder.mkdir(parents=True, exist_ok=True)
        _keep_labels(reference / LABELS_NAME, labels, record)
        if not folder.samefile(source):
            np.savez_compressed(folder / PREDICTIONS_NAME, predictions=predictions)
            shutil.copy(source / FILE_NAME, folder)
    return len(records)


def copies(records: Sequence[RunRecord], runs: Path, reference: Path) -> list[tuple[RunRecord, Path, Path]]:
    """Each record, the folder that it is in and the one to copy it to. Raises SystemExit where another one is there."""
    found = []
    for record in records:
        assert record.folder is not None
        kept = reference / record.folder.relative_to(runs) / FILE_NAME
        if kept.exists() and kept.read_bytes() != (record.folder / FILE_NAME).read_bytes():
            raise SystemExit(f"{kept} is another record than that of {record.folder}: remove it first to replace it")
        found.append((record, record.folder, kept.parent))
    return found


def write_views(reference: Path) -> None:
    """Write the tables, the figure and the totals of the records in a folder beside them."""
    for name, options in TABLES.items():
        if stn_table(["--runs", str(reference), *options, "--output", str(reference / name)]):
            raise SystemExit(1)
    if stn_table(["--runs", str(reference), "--figure", str(reference / FIGURE), "--output", os.devnull]):
        raise SystemExit(1)
    (reference / "totals.md").write_text(totals(reference), encoding="utf-8")


def totals(reference: Path) -> str:
    """How long training took, for each sweep that fills the table and each seed, and where, in Markdown."""
    table = build_table(read_table(DEFAULT_TABLE), find_records(reference))
    cells: dict[str, int] = defaultdict(int)
    groups: dict[tuple[str, int], list[RunRecord]] = defaultdict(list)
    for cell in table.distinct:
        sweep = cell.row.sweep or table.spec.sweep or "-"
        cells[sweep] += 1
        for run in cell.runs:
            groups[sweep, run.seed].append(run)
    records = [run for runs in groups.values() for run in runs]
    head = ["sweep", "seed", "cells", "one after another", f"on {CORES} cores"]
    body = [
        [sweep, seed, f"{len(runs)} of {cells[sweep]}", _hours(sum(run.seconds for run in runs)), _on_cores(runs)]
        for (sweep, seed), runs in sorted(groups.items(), key=lambda group: (list(cells).index(group[0][0]), group[0]))
    ]
    versions = [(name, version) for run in records for name, version in run.versions.items()]
    facts = {
        "Devices": sorted({device for run in records for device in _each(run.device)}),
        "Precision": sorted({precision for run in records for precision in _each(run.precision)}),
        "Versions": sorted({f"{name} {version}" for name, joined in versions for version in _each(joined)}),
        "Commits": sorted({commit[:7] for run in records for commit in _each(run.git_commit or "") if commit}),
    }
    return "\n".join(
        [
            "Training time of the runs in this folder, hours:minutes, without start and, in runs since commit c0f03c7, "
            "without evaluation.",
            f"On {CORES} cores: with a run on each, as a sweep does it; a run with several threads had as many cores.",
            "",
            tabulate(body, head, "pipe", disable_numparse=True, colalign=["left"] * len(head)),
            "",
            f"- Later seeds: {_repeated(table.distinct)}",
            *(f"- {name}: {'; '.join(found) or 'not known'}" for name, found in facts.items()),
            "",
        ]
    )


def _repeated(cells: Sequence[Cell]) -> str:
    """How often a later seed's error lies in the interval of the first seed of its cell, and where it does not."""
    pairs = [(cell, cell.runs[0], run) for cell in cells for run in cell.runs[1:]]
    outside = [
        f"{cell.row.name} on {cell.column.label}, seed {run.seed}: {100 * run.error:.2f} after {100 * first.error:.2f}"
        for cell, first, run in pairs
        if not first.wilson_95[0] <= run.error <= first.wilson_95[1]
    ]
    words = f"{len(pairs) - len(outside)} of {len(pairs)} inside the 95 % Wilson interval of their cell's first seed"
    return words + ("; outside: " + "; ".join(outside) if outside else "")


def _on_cores(runs: Sequence[RunRecord]) -> str:
    """The time of runs side by side; a run on a GPU says nothing of cores."""
    seconds = 0.0
    for run in runs:
        threads = [re.match(r"CPU, (\d+) thread", device) for device in _each(run.device)]
        if not all(threads):
            return "-"
        seconds += run.seconds * max(int(found[1]) for found in threads if found)
    return _hours(seconds / CORES)


def _each(joined: str) -> list[str]:
    """What a run was done with, one by one."""
    return joined.split(", then ")


def _hours(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60}:{minutes % 60:02d}"


def _arrays(record: RunRecord) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and labels; the labels are MNIST's for a run that was made before they were kept."""
    try:
        predictions, labels = read_predictions(record)
        if labels is None:
            from stn_bench.data.sources import load_mnist

            labels = load_mnist().test_labels
        check_against(record, predictions, labels)
    except PredictionsError as error:
        raise SystemExit(f"{record.folder}: {error}: delete the folder and do the run again") from error
    return predictions, labels


def _keep_labels(path: Path, labels: np.ndarray, record: RunRecord) -> None:
    if not path.exists():
        np.savez_compressed(path, labels=labels)
    with np.load(path) as kept:
        if not np.array_equal(kept["labels"], labels):
            raise SystemExit(f"{record.folder}: its labels are not those in {path}: collect it into another folder")


def main() -> None:
    """Copy, then write what is published."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("runs", type=Path, help="folder that the run folders are in")
    parser.add_argument("reference", type=Path, help="folder to copy to")
    parser.add_argument("--recipe", default="fast", help="runs of this recipe only, default %(default)s")
    options = parser.parse_args()
    if not options.runs.is_dir():
        parser.error(f"there is no folder {options.runs}: name the one that the run folders are in")
    copied = collect(options.runs, options.reference, options.recipe)
    if not copied:
        raise SystemExit(f"no finished run of recipe {options.recipe} in {options.runs}: train some, or name another")
    write_views(options.reference)
    print(f"{copied} runs in {options.reference}", file=sys.stderr)


if __name__ == "__main__":
    main()
