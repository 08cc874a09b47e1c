"""Copy the records of runs on held-out digits into a folder to commit, and write the table that compares them.

    python scripts/collect_search.py outputs/recipe_search outputs/reference/recipe_search
    python scripts/collect_search.py outputs/calibration outputs/reference/calibration

Keeps each `result.json`; `comparison.md` beside them has a line for the runs of a cell that differ in the seed alone:
what they set otherwise than most others of the cell, the mean error over seeds with its sample standard deviation, each
seed's error, seconds of training, and the test error that the paper gives for the cell. A precision is the one that a
run took, asked for or left to the device.
Records that are in the folder already stay there: nothing is copied where one would take the place of another, or where
two runs of one seed set the same and yet differ. Given as both folders, it gets a new table.
"""

import argparse
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, median, stdev
from typing import NamedTuple

from collect_reference import copies
from tabulate import tabulate

from stn_bench.cli.table import DEFAULT_TABLE, read_table
from stn_bench.results.agreement import IN_DEED, settings
from stn_bench.results.record import FILE_NAME, RunRecord, find_records
from stn_bench.results.statistics import percent

COMPARISON = "comparison.md"
TOLD_AS = {name: key for key, name in IN_DEED.items()}


class Variant(NamedTuple):
    """Runs of one cell that differ in the seed alone."""

    tag: str
    settings: tuple[tuple[str, str], ...]


def comparison(records: Sequence[RunRecord]) -> str:
    """The table in Markdown, cell by cell, the best first."""
    published = _published()
    lines = []
    for cell, variants in sorted(_by_cell(records).items()):
        usual = _usual(list(variants))
        errors_of = {variant: [run.error for run in runs.values()] for variant, runs in variants.items()}
        for variant, errors in sorted(errors_of.items(), key=lambda item: (fmean(item[1]), item[0])):
            sd = f" ± {percent(stdev(errors))}" if len(errors) > 1 else ""
            lines.append(
                [
                    *cell,
                    variant.tag,
                    ", ".join(f"{key}={value}" for key, value in variant.settings if usual.get(key) != value),
                    f"{percent(fmean(errors))}{sd}",
                    ", ".join(str(percent(error)) for error in errors),
                    f"{median(run.seconds for run in variants[variant].values()):.0f}",
                    published.get(cell, "-"),
                ]
            )
    head = ["data", "cell", "tag", "set otherwise", "held-out error, %", "by seed", "seconds", "paper, test error, %"]
    return tabulate(lines, head, "github", disable_numparse=True) + "\n"


def _by_cell(records: Sequence[RunRecord]) -> dict[tuple[str, str], dict[Variant, dict[int, RunRecord]]]:
    """The runs of each cell by variant and seed. Raises SystemExit where two that have one seed differ."""
    cells: dict[tuple[str, str], dict[Variant, dict[int, RunRecord]]] = defaultdict(lambda: defaultdict(dict))
    for run in sorted(records, key=lambda run: run.seed):
        model = f"{run.choices['model']} {run.choices['transform'] or ''}".strip()
        variant = Variant(run.choices["tag"] or "-", tuple(_settings(run)))
        first = cells[run.choices["data"].upper(), model][variant].setdefault(run.seed, run)
        if run != first:  # a copy of the same record is equal
            raise SystemExit(
                f"{first.folder} and {run.folder} are two runs of seed {run.seed} that set the same: remove one"
            )
    return cells


def _usual(variants: Sequence[Variant]) -> dict[str, str]:
    """The value of each key that most of the variants have, none included; of equally many, that of the first run."""
    settings = [dict(variant.settings) for variant in variants]
    keys = dict.fromkeys(key for one in settings for key in one)
    counts = {key: Counter(one.get(key) for one in settings).most_common(1)[0][0] for key in keys}
    return {key: value for key, value in counts.items() if value is not None}


def _settings(run: RunRecord) -> Iterator[tuple[str, str]]:
    """The recipe's name and what the config sets, by dotted key; a null is as good as the key's absence."""
    yield "recipe", run.choices["recipe"]
    for key, value in settings(run).items():
        if value != str(None) and key != "tag":
            yield TOLD_AS.get(key, key), value.replace(" ", "")


def _published() -> dict[tuple[str, str], str]:
    """The paper's test error, in %, by data set and model with its transform."""
    spec = read_table(DEFAULT_TABLE)
    return {
        (
            str(column.match["data"]).upper(),
            f"{row.match['model']} {row.match['transform'] or ''}".strip(),
        ): f"{100 * error:.1f}"
        for row in spec.rows
        for column, error in zip(spec.columns, row.published, strict=True)
        if error is not None
    }


def main() -> None:
    """Copy, then write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("runs", type=Path, help="folder that the run folders are in")
    parser.add_argument("reference", type=Path, help="folder to copy to")
    options = parser.parse_args()
    if not options.runs.is_dir():
        parser.error(f"there is no folder {options.runs}: name the one that the run folders are in")
    kept = find_records(options.reference) if options.reference.is_dir() else []
    found = [record for record in find_records(options.runs) if record.evaluated_on == "validation"]
    if not kept and not found:
        raise SystemExit(f"no finished run on held-out digits in {options.runs}: train some with data.validation=10000")
    to_copy = copies(found, options.runs, options.reference)
    _by_cell([*kept, *found])  # refuses two runs of one seed before either is copied
    for _, source, folder in to_copy:
        if not (folder / FILE_NAME).exists():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / FILE_NAME, folder)
    text = comparison(find_records(options.reference))
    (options.reference / COMPARISON).write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
