"""From runs to tables: one record per finished run, and tables that are views of records. Needs no torch."""

from stn_bench.results.comparisons import Compared, Comparisons, with_tests
from stn_bench.results.figure import save_figure
from stn_bench.results.predictions import PredictionsError, wrong_predictions
from stn_bench.results.record import RecordError, RunRecord, find_records, read_record, write_record
from stn_bench.results.significance import clustered_mcnemar, holm, paired_t
from stn_bench.results.spec import SpecError, TableSpec, parse_spec
from stn_bench.results.statistics import mean, sample_sd, wilson_interval
from stn_bench.results.table import Cell, Table, build_table, with_runs

__all__ = [
    "Cell",
    "Compared",
    "Comparisons",
    "PredictionsError",
    "RecordError",
    "RunRecord",
    "SpecError",
    "Table",
    "TableSpec",
    "build_table",
    "clustered_mcnemar",
    "find_records",
    "holm",
    "mean",
    "paired_t",
    "parse_spec",
    "read_record",
    "sample_sd",
    "save_figure",
    "wilson_interval",
    "with_runs",
    "with_tests",
    "write_record",
    "wrong_predictions",
]
