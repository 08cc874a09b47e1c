"""`stn-table`: print a table of finished runs beside the published numbers. Needs no torch."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from stn_bench.cli.choices import choices, suggestion
from stn_bench.cli.reader import ends_with_its_reader
from stn_bench.errors import UserError

if TYPE_CHECKING:
    from stn_bench.results.record import RunRecord
    from stn_bench.results.spec import TableSpec

DEFAULT_RUNS = Path("outputs/runs")
DEFAULT_TABLE = "distorted_mnist"
FORMATS = ("markdown", "latex", "csv", "json")  # each one a function of results/formats.py


@ends_with_its_reader
def main(argv: Sequence[str] | None = None) -> int:
    """Print the table and return 0, or say in one sentence why not and return 1."""
    arguments = _parser().parse_args(argv)

    from stn_bench.results import formats
    from stn_bench.results.comparisons import with_tests
    from stn_bench.results.figure import save_figure
    from stn_bench.results.missing import fill_commands
    from stn_bench.results.table import build_table, with_runs

    try:
        spec = read_table(arguments.name)
        records = _read_runs(arguments.runs)
        table = build_table(spec, records, recipe=arguments.recipe, tag=arguments.tag)
        _check_tag(arguments.tag, records)
        if not any(cell.runs for cell in table.cells):
            _check_recipe(arguments.recipe)
            folders = " ".join(map(str, arguments.runs or [DEFAULT_RUNS]))
            held_out = sum(record.evaluated_on != "test" for record in records)
            why = f": {held_out} of {len(records)} are of held-out digits, and it is of test digits" if held_out else ""
            print(f"stn-table: no run in {folders} counts in this table{why}; every cell is missing", file=sys.stderr)
        if arguments.rows_with_runs:
            table = with_runs(table)
        if arguments.figure is not None:
            save_figure(table, arguments.figure)
        if arguments.tests:
            table = with_tests(table)
            if not spec.comparisons:
                print(
                    f"stn-table: table {spec.name} has nothing to test: list comparisons in its YAML", file=sys.stderr
                )
        text = getattr(formats, arguments.format)(table)
        if arguments.output is None:
            sys.stdout.write(text)
        else:
            arguments.output.write_text(text, encoding="utf-8")
    except BrokenPipeError:
        raise
    except (UserError, OSError) as error:
        print(f"stn-table: {error}", file=sys.stderr)
        return 1
    if arguments.format != "csv" and arguments.runs not in (None, [DEFAULT_RUNS]) and fill_commands(table):
        print(
            f"stn-table: its commands train into {DEFAULT_RUNS}; with output=DIR into another folder", file=sys.stderr
        )
    if arguments.format == "csv":  # which has no place for them
        remarks = table.comparisons.remarks if table.comparisons else ()
        for note in [*table.notes, *remarks]:
            print(f"stn-table: {note}", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    tables = "\n".join(f"  {name:<22}{about}" for name, about in choices("table").items())
    parser = argparse.ArgumentParser(
        prog="stn-table",
        description="Print a table of finished runs beside the published numbers.",
        epilog=f"tables:\n{tables}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("name", nargs="?", default=DEFAULT_TABLE, help=f"a table below, or a YAML file like it ({DEFAULT_TABLE})")
    add("--runs", nargs="+", type=Path, metavar="DIR", help=f"folders that hold runs ({DEFAULT_RUNS})")
    add("--format", choices=FORMATS, default=FORMATS[0], help="what to print (markdown)")
    add("--recipe", help="show the runs of this recipe (fast, if there are any)")
    add("--tag", help="show the runs with this tag (those without one)")
    add("--rows-with-runs", action="store_true", help="leave out rows and columns without a run")
    add("--tests", action="store_true", help="test the table's comparisons: notes; csv: the tests instead of the cells")
    add("--figure", type=Path, metavar="FILE", help="draw the table, too: .png, .svg or .pdf")
    add("--output", type=Path, metavar="FILE", help="write to a file instead of the terminal")
    return parser


def read_table(name: str) -> TableSpec:
    """The table of this name, or of a YAML file. Raises SpecError, OSError."""
    from stn_bench.results.spec import SpecError, parse_spec

    if name.endswith((".yaml", ".yml")):
        try:
            text = Path(name).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise SpecError(f"{name} is no text in UTF-8 ({error}): save it as such") from None
        return parse_spec(text, Path(name).stem)
    names = list(choices("table"))
    if name not in names:
        raise SpecError(f"no table is called {name!r}{suggestion(name, names)}; there are {', '.join(names)}")
    return parse_spec((files("stn_bench.configs") / "table" / f"{name}.yaml").read_text(encoding="utf-8"), name)


def _check_recipe(name: str | None) -> None:
    """Raise UserError for a recipe that has neither a run nor a config, before a table of nothing is printed."""
    names = list(choices("recipe"))
    if name is not None and name not in names:
        raise UserError(f"no recipe is called {name!r}{suggestion(name, names)}; there are {', '.join(names)}")


def _check_tag(tag: str | None, records: Sequence[RunRecord]) -> None:
    """Raise UserError for a tag that no run has, where there are runs."""
    tags = sorted({run.choices["tag"] for run in records if run.choices["tag"]})
    if records and tag is not None and tag not in tags:
        there_are = f"; there are {', '.join(tags)}" if tags else ""
        raise UserError(f"no run has the tag {tag!r}{suggestion(tag, tags)}{there_are}")


def _read_runs(folders: Sequence[Path] | None) -> list[RunRecord]:
    """All records below the folders; the default folder need not exist yet, a named one must."""
    from stn_bench.results.record import find_records

    if folders is None:
        folders = [DEFAULT_RUNS] if DEFAULT_RUNS.is_dir() else []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        records = [record for folder in folders for record in find_records(folder)]
    for warning in caught:
        print(f"stn-table: {warning.message}", file=sys.stderr)
    return records


if __name__ == "__main__":
    sys.exit(main())
