"""Copy finished runs into a folder of reference records, small enough to commit, and print the table they make.

    python scripts/collect_reference.py outputs/runs outputs/reference/distorted_mnist --recipe fast

Keeps `result.json` and the predicted classes of each run that was evaluated on test digits and has no tag but one of
the table's own; leaves weights, theta and logs behind. Writes `table.md` beside the records, as `stn-table` prints it.
"""

import argparse
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np

from stn_bench.cli.table import DEFAULT_TABLE
from stn_bench.cli.table import main as stn_table
from stn_bench.results.record import FILE_NAME, find_records
from stn_bench.results.spec import parse_spec


def main() -> None:
    """Copy, then write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("runs", type=Path, help="folder that the run folders are in")
    parser.add_argument("reference", type=Path, help="folder to copy to")
    parser.add_argument("--recipe", default="fast", help="runs of this recipe only, default %(default)s")
    options = parser.parse_args()
    spec = parse_spec((files("stn_bench.configs") / f"table/{DEFAULT_TABLE}.yaml").read_text(), DEFAULT_TABLE)
    tags = {None, *(row.match.get("tag") for row in spec.rows)}
    for record in find_records(options.runs):
        choices = record.choices
        if choices["recipe"] != options.recipe or choices["tag"] not in tags or record.evaluated_on != "test":
            continue
        assert record.folder is not None
        folder = options.reference / record.folder.relative_to(options.runs)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(record.folder / FILE_NAME, folder)
        with np.load(record.folder / "predictions.npz") as arrays:
            np.savez_compressed(folder / "predictions.npz", predictions=arrays["predictions"])
        print(folder)
    stn_table(
        ["--runs", str(options.reference), "--recipe", options.recipe, "--output", f"{options.reference}/table.md"]
    )


if __name__ == "__main__":
    main()
