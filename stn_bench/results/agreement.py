"""Whether runs that are shown as one were made in one way: remarks on what differs between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stn_bench.results.record import WHERE_AND_HOW, RunRecord

# config keys that may differ between the runs of a cell
NOT_COMPARED = frozenset({*WHERE_AND_HOW, "seed"})
MNIST = "stn_bench.data.distorted.distorted_mnist"  # data whose files are verified, in whatever `data.folder` they are
IN_DEED = {"recipe.precision": "precision"}  # config keys that say how to choose, and what a record has of the choice

# keys that older records lack, and what their runs did
ADDED_LATER = {"data.undone": "False", "model.output_size": "None"}
CANVAS = "data.distortion.output_size"  # of canvases larger than digits; the key is not there where they are as large


def differences(runs: Sequence[RunRecord]) -> list[str]:
    """A remark that names the keys in which the runs of a cell differ, or nothing."""
    named = _named(_differing([settings(run) for run in runs]))
    return [f"the mean mixes runs that differ in more than the seed: {named}."] if named else []


def recipes_of(runs: Sequence[RunRecord]) -> str:
    """A remark that names the keys in which the recipes of a row's runs, one of each column, differ, or nothing."""
    named = _named(_differing([_part(run, "precision", "recipe.") for run in runs]))
    return f"the columns were not trained by one recipe, though it has one name: {named}." if named else ""


def paired(runs: Sequence[RunRecord], others: Sequence[RunRecord]) -> list[tuple[RunRecord, RunRecord]]:
    """The runs of each seed that both cells have, in the order of the first."""
    by_seed = {run.seed: run for run in others}
    return [(run, by_seed[run.seed]) for run in runs if run.seed in by_seed]


def training_of(runs: Sequence[RunRecord], others: Sequence[RunRecord]) -> str:
    """A remark that names the keys in which two cells that are compared were trained otherwise, or nothing.

    Runs of one seed are looked at; where the cells have none in common, any two.
    """
    for pair in paired(runs, others) or zip(runs, others, strict=False):
        if named := _named(_differing([_part(run, "precision", "recipe.", "model.parameters_budget") for run in pair])):
            return f"the rows are compared, but were not trained alike: {named}."
    return ""


def data_of(runs: Sequence[RunRecord]) -> str:
    """A remark that names the keys in which the data of a column's runs, one of each row, differ, or nothing."""
    named = _named(_differing([_part(run, "data") for run in runs]))
    return f"the rows were not run on one data, though it has one name: {named}." if named else ""


def _part(run: RunRecord, *beginnings: str) -> dict[str, str]:
    return {key: value for key, value in settings(run).items() if key.startswith(beginnings)}


def _differing(runs: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """The values of each key in which the settings of runs differ, each once."""
    keys = sorted({key for one in runs for key in one})
    values = {key: list(dict.fromkeys(one.get(key, "absent") for one in runs)) for key in keys}
    return {key: found for key, found in values.items() if len(found) > 1}


def _named(found: Mapping[str, Sequence[str]]) -> str:
    return listed([f"`{key}` ({', '.join(values)})" for key, values in found.items()], 5)


def listed(names: Sequence[str], most: int) -> str:
    """The names, up to so many of them, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def settings(run: RunRecord) -> dict[str, str]:
    """What must agree between the runs of a cell: values as text by dotted key; equal numbers are one text."""
    flat = {"images": str(run.images), "data_sha256": run.data_sha256[:12], **ADDED_LATER}
    flat |= {name: str(getattr(run, name)) for name in IN_DEED.values()}

    def add(prefix: str, part: Mapping[str, Any]) -> None:
        for name, value in part.items():
            key = prefix + name
            if key in NOT_COMPARED or key in IN_DEED:
                continue
            if isinstance(value, Mapping):
                add(f"{key}.", value)
            else:
                number = isinstance(value, int | float) and not isinstance(value, bool)
                flat[key] = f"{value:.15g}" if number else str(value)

    add("", run.config)
    if flat.get("data._target_") == MNIST:
        flat.pop("data.folder", None)
    if CANVAS not in flat and flat.get("model.pool_above") == "28":
        flat |= {"model.output_size": "None"}  # it is for canvases of more than `pool_above` pixels, and did nothing
    return flat
