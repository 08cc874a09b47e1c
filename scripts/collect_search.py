"""Copy the records of runs on held-out digits into a folder to commit, and write the table that compares them.

    python scripts/collect_search.py outputs/recipe_search outputs/reference/recipe_search
    python scripts/collect_search.py outputs/calibration outputs/reference/calibration

Keeps each `result.json`; `comparison.md` beside them has a line for the runs of a cell that differ in the seed alone:
what they set otherwise than most others of the cell, the mean error over seeds with its sample standard deviation, each
seed's error, seconds of training, and the test error that the paper gives for the cell. A precision is the one that a
run took, asked for or left to the device.
Records that are in the folder already stay there; given as both folders, it gets a new table.
"""

import argparse
import shutil
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tabulate import tabulate

from stn_bench.cli.table import DEFAULT_TABLE, read_table
from stn_bench.results.agreement import IN_DEED, settings
from stn_bench.results.record import FILE_NAME, RunRecord, find_records
from stn_bench.results.statistics import mean, percent, sample_sd

COMPARISON = "comparison.md"
TOLD_AS = {name: key for key, name in IN_DEED.items()}


class Variant(NamedTuple):
    """Runs of one cell that differ in the seed alone."""

    tag: str
    settings: tuple[tuple[str, str], ...]


def comparison(records: Sequence[RunRecord]) -> str:
    """The table in Markdown, cell by cell, the best first."""
    cells: dict[tuple[str, str], dict[Variant, list[RunRecord]]] = defaultdict(lambda: defaultdict(list))
    for run in sorted(records, key=lambda run: run.seed):
        model = f"{run.choices['model']} {run.choices['transform'] or ''}".strip()
        variant = Variant(run.choices["tag"] or "-", tuple(_settings(run)))
        cells[run.choices["data"].upper(), model][variant].append(run)
    published = _published()
    lines = []
    for cell, variants in sorted(cells.items()):
        usual = _usual(list(variants))
        for variant, runs in sorted(variants.items(), key=lambda item: (mean([run.error for run in item[1]]), item[0])):
            errors = [run.error for run in runs]
            sd = sample_sd(errors)
            lines.append(
                [
                    *cell,
                    variant.tag,
                    ", ".join(f"{key}={value}" for key, value in variant.settings if usual.get(key) != value),
                    str(percent(mean(errors))) + ("" if sd is None else f" ± {percent(sd)}"),
                    ", ".join(str(percent(error)) for error in errors),
                    f"{statistics.median(run.seconds for run in runs):.0f}",
                    published.get(cell, "-"),
                ]
            )
    head = ["data", "cell", "tag", "set otherwise", "held-out error, %", "by seed", "seconds", "paper, test error, %"]
    return tabulate(lines, head, "github", disable_numparse=True) + "\n"


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
    for record in find_records(options.runs):
        assert record.folder is not None
        folder = options.reference / record.folder.relative_to(options.runs)
        if record.evaluated_on == "validation" and folder.resolve() != record.folder.resolve():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(record.folder / FILE_NAME, folder)
    records = find_records(options.reference) if options.reference.is_dir() else []
    if not records:
        raise SystemExit(f"no finished run on held-out digits in {options.runs}: train some with data.validation=10000")
    text = comparison(records)
    (options.reference / COMPARISON).write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
