"""From runs to tables: one record per finished run, and tables that are views of records. Needs no torch."""

from stn_bench.results.record import RecordError, RunRecord, find_records, read_record, write_record
from stn_bench.results.spec import SpecError, TableSpec, parse_spec
from stn_bench.results.statistics import mean, sample_sd, wilson_interval
from stn_bench.results.table import Cell, Table, build_table, with_runs

__all__ = [
    "Cell",
    "RecordError",
    "RunRecord",
    "SpecError",
    "Table",
    "TableSpec",
    "build_table",
    "find_records",
    "mean",
    "parse_spec",
    "read_record",
    "sample_sd",
    "wilson_interval",
    "with_runs",
    "write_record",
]
