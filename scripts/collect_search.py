"""Copy the records of runs on held-out digits into a folder to commit, and write the table that compares them.

    python scripts/collect_search.py outputs/precision outputs/reference/precision

Keeps each `result.json`; `comparison.md` beside them has a line for each cell and tag: the mean error over seeds, its
sample standard deviation, each seed's error, and seconds of training.
"""

import argparse
import shutil
import statistics
from collections import defaultdict
from pathlib import Path

from tabulate import tabulate

from stn_bench.results.record import FILE_NAME, RunRecord, find_records


def comparison(records: list[RunRecord]) -> str:
    """The table in Markdown, cell by cell, the best first."""
    groups: dict[tuple[str, str, str], list[RunRecord]] = defaultdict(list)
    for record in records:
        choices = record.choices
        cell = f"{choices['model']} {choices['transform'] or ''}".strip()
        groups[choices["data"].upper(), cell, choices["tag"] or "-"].append(record)
    lines = []
    for (data, cell, tag), runs in groups.items():
        errors = [100 * run.error for run in sorted(runs, key=lambda run: run.seed)]
        spread = f" ± {statistics.stdev(errors):.2f}" if len(errors) > 1 else ""
        seconds = statistics.median(run.seconds for run in runs)
        lines.append(
            [
                data,
                cell,
                tag,
                f"{statistics.mean(errors):.2f}{spread}",
                ", ".join(f"{e:.2f}" for e in errors),
                f"{seconds:.0f}",
            ]
        )
    lines.sort(key=lambda line: (line[0], line[1], float(line[3].split()[0])))
    head = ["data", "cell", "tag", "held-out error, %", "by seed", "seconds"]
    return tabulate(lines, head, "github", disable_numparse=True)


def main() -> None:
    """Copy, then write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("runs", type=Path, help="folder that the run folders are in")
    parser.add_argument("reference", type=Path, help="folder to copy to")
    options = parser.parse_args()
    kept = [record for record in find_records(options.runs) if record.evaluated_on == "validation"]
    for record in kept:
        assert record.folder is not None
        folder = options.reference / record.folder.relative_to(options.runs)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(record.folder / FILE_NAME, folder)
    text = comparison(kept)
    (options.reference / "comparison.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
