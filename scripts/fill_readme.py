"""Write the tables of README.md and outputs/reference/README.md anew from the records in outputs/reference.

    python scripts/fill_readme.py

A table stands between two comments, `<!-- VIEW of RECORDS -->` and `<!-- end -->`: one of VIEWS, of a file or
folder named from the root. Everything else of a page is left as it is.
"""

import argparse
import contextlib
import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import benchmark_gpu
import costs
from benchmark_table import Row
from benchmark_table import table as benchmark_table

from stn_bench.cli.table import main as stn_table

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "outputs/reference/README.md")
BLOCK = re.compile(r"(?P<head><!-- (?P<view>\w+) of (?P<records>\S+) -->\n).*?(?P<end><!-- end -->)", re.DOTALL)


def table(folder: Path) -> str:
    """What `stn-table` prints of a folder of runs, without rows that have none."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        if stn_table(["--runs", str(folder), "--rows-with-runs"]):
            raise SystemExit(1)
    return printed.getvalue()


def text(page: Path) -> str:
    """A page as it is."""
    return page.read_text(encoding="utf-8")


def speed(record: Path) -> str:
    """What `scripts/benchmark.py` prints."""
    rows = json.loads(record.read_text(encoding="utf-8"))["rows"]
    return benchmark_table([Row(**{name: row[name] for name in row if name != "met"}) for row in rows])


def cost(record: Path) -> str:
    """What `scripts/costs.py` prints."""
    return costs.tables(json.loads(record.read_text(encoding="utf-8"))["seconds_per_epoch"])


def gpu(record: Path) -> str:
    """What `scripts/benchmark_gpu.py` prints."""
    return benchmark_gpu.table(json.loads(record.read_text(encoding="utf-8"))["rows"])


VIEWS: dict[str, Callable[[Path], str]] = {view.__name__: view for view in (table, text, speed, cost, gpu)}


def filled(page: str, root: Path = ROOT) -> str:
    """The page with each of its tables made anew from the records below `root`. Raises SystemExit for one unknown."""

    def block(found: re.Match[str]) -> str:
        view, records = found["view"], root / found["records"]
        if view not in VIEWS:
            raise SystemExit(f"{found['head'].strip()}: no view is called {view}: use {', '.join(VIEWS)}")
        if not records.exists():
            raise SystemExit(f"{found['head'].strip()}: there is no {found['records']}")
        return f"{found['head']}\n{VIEWS[view](records).strip()}\n\n{found['end']}"

    return BLOCK.sub(block, page)


def main() -> None:
    """Fill the pages."""
    argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0]).parse_args()
    for name in PAGES:
        page = ROOT / name
        before = page.read_text(encoding="utf-8")
        after = filled(before)
        page.write_text(after, encoding="utf-8")
        print(f"{name}: {'as it was' if after == before else 'changed'}", file=sys.stderr)


if __name__ == "__main__":
    main()
