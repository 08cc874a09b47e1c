"""What a table's YAML says: labels, which runs belong to each row and column, and the published numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from stn_bench.errors import UserError
from stn_bench.results.record import Choices

GROUPS = tuple(Choices.__annotations__)  # the config groups that rows and columns can match on
ROW_OPTIONS = ("transform_label", "published", "sweep", "spans", "note")
NEEDED = ("data", "model", "transform")  # without one of these a cell would average over different things


class SpecError(UserError, ValueError):
    """A table's YAML that cannot be used: the message names the table, the place and what to do."""


@dataclass(frozen=True)
class Column:
    """A column's heading, and what the runs in it have chosen."""

    label: str
    match: Mapping[str, str | None]


@dataclass(frozen=True)
class Row:
    """A row's labels, what its runs have chosen, and one published error per column: a fraction or None.

    A row may have a sweep of its own, which sets the tag that the row matches on. One that `spans` the columns shows
    the same runs in all of them, whatever the columns match on.
    """

    label: str
    transform_label: str
    match: Mapping[str, str | None]
    published: tuple[float | None, ...]
    sweep: str | None = None
    spans: bool = False
    note: str | None = None  # shown below the table where the row is shown

    def match_in(self, column: Column) -> Mapping[str, str | None]:
        """What the runs in a cell of this row have chosen."""
        return self.match if self.spans else {**self.match, **column.match}

    @property
    def name(self) -> str:
        """Both labels, e.g. `ST-CNN TPS`; a dash stands for no transform and is left out."""
        return " ".join(part for part in (self.label, self.transform_label) if part.strip("-"))


@dataclass(frozen=True)
class Comparison:
    """Two rows, by name, of which one is expected to err less, and one that says how well it could do at best."""

    better: str
    than: str
    bound: str | None = None


@dataclass(frozen=True)
class TableSpec:
    """One file of `configs/table`."""

    name: str
    title: str
    source: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    sweep: str | None = None  # the `stn-train sweep=` that fills the whole table
    comparisons: tuple[Comparison, ...] = ()  # what is tested in each column

    @property
    def decimals(self) -> int:
        """Of the published numbers, in percent: as many as one of them needs, so that 0.90 beside 0.75 has two."""
        published = [error for row in self.rows for error in row.published if error is not None]
        texts = [repr(round(100 * error, 6)) for error in published]  # 2.0 stays "2.0"
        return max([len(text.partition(".")[2]) for text in texts], default=1)


def parse_spec(text: str, name: str) -> TableSpec:
    """Read the YAML of the table called `name`; published numbers are in percent there, fractions afterwards.

    Raises `SpecError` for what is not YAML, for unknown or missing keys, for a list of published numbers that is not
    one per column, for a cell whose runs would not all share data, model and transform, and for a comparison that does
    not name two rows.
    """
    import yaml

    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SpecError(f"table {name} is not YAML: {' '.join(str(error).split())}") from error
    at = f"table {name}"
    optional = ("notes", "sweep", "comparisons")
    content = _mapping(content, at, required=("title", "source", "columns", "rows"), optional=optional)
    columns = _columns(content["columns"], f"{at}, column")
    entries = enumerate(_list(content["rows"], f"{at}, rows"), start=1)
    rows = tuple(_row(entry, columns, f"{at}, row {i}") for i, entry in entries)
    return TableSpec(
        name=name,
        title=_text(content["title"], at),
        source=_text(content["source"], at),
        columns=columns,
        rows=rows,
        notes=tuple(_text(note, f"{at}, notes") for note in _list(content.get("notes", []), f"{at}, notes")),
        sweep=None if content.get("sweep") is None else _text(content["sweep"], at),
        comparisons=_comparisons(content.get("comparisons", []), [row.name for row in rows], f"{at}, comparison"),
    )


def _columns(entries: Any, at: str) -> tuple[Column, ...]:
    columns: list[Column] = []
    for i, entry in enumerate(_list(entries, f"{at}s"), start=1):
        place = f"{at} {i}"
        entry = _mapping(entry, place, required=("label", "match"))
        label = _text(entry["label"], place)
        if label in [column.label for column in columns]:
            raise SpecError(f"{place} has the label {label!r} of an earlier one: give it its own")
        columns.append(Column(label, _match(entry, place)))
    return tuple(columns)


def _row(entry: Any, columns: Sequence[Column], place: str) -> Row:
    entry = _mapping(entry, place, required=("label", "match"), optional=ROW_OPTIONS)
    row = Row(
        label=_text(entry["label"], place),
        transform_label=_text(entry.get("transform_label", ""), place),
        match=_match(entry, place),
        published=_published(entry.get("published", [None] * len(columns)), len(columns), place),
        sweep=None if entry.get("sweep") is None else _text(entry["sweep"], place),
        spans=_switch(entry.get("spans", False), f"{place}, spans"),
        note=None if entry.get("note") is None else _text(entry["note"], place),
    )
    for column in columns:
        _check_cell(row, column, place)
    return row


def _mapping(value: Any, place: str, required: tuple[str, ...] = (), optional: tuple[str, ...] = ()) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SpecError(f"{place} is {value!r}: write a mapping with the keys {', '.join(required + optional)}")
    if unknown := [str(key) for key in value if key not in required + optional]:
        raise SpecError(f"{place}: unknown key {', '.join(unknown)}; there are {', '.join(required + optional)}")
    if missing := [key for key in required if key not in value]:
        raise SpecError(f"{place} lacks {', '.join(missing)}: add it")
    return value


def _list(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise SpecError(f"{place}: expected a list, found {value!r}")
    return value


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise SpecError(f"{place}: expected text, found {value!r}: put it in quotes")
    return value


def _switch(value: Any, place: str) -> bool:
    if not isinstance(value, bool):
        raise SpecError(f"{place}: expected true or false, found {value!r}")
    return value


def _match(entry: dict[str, Any], place: str) -> dict[str, str | None]:
    match = _mapping(entry["match"], f"{place}, match", optional=GROUPS)
    return {group: None if value is None else _text(value, f"{place}, match") for group, value in match.items()}


def _published(values: Any, columns: int, place: str) -> tuple[float | None, ...]:
    values = _list(values, f"{place}, published")
    if len(values) != columns:
        raise SpecError(f"{place}: {len(values)} published numbers for {columns} columns: one each, null for none")
    for value in values:
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)
        if value is not None and not number:
            raise SpecError(f"{place}: published {value!r} is not a number: write percent, or null for none")
    return tuple(None if value is None else value / 100 for value in values)


def _comparisons(entries: Any, rows: Sequence[str], at: str) -> tuple[Comparison, ...]:
    comparisons: list[Comparison] = []
    for i, entry in enumerate(_list(entries, f"{at}s"), start=1):
        place = f"{at} {i}"
        entry = _mapping(entry, place, required=("better", "than"), optional=("bound",))
        names = {key: _text(value, f"{place}, {key}") for key, value in entry.items()}
        for key, name in names.items():
            if rows.count(name) != 1:
                found = f"{rows.count(name)} rows are" if name in rows else "no row is"
                raise SpecError(f"{place}, {key}: {found} called {name!r}: name one of {', '.join(rows)}")
        if len(set(names.values())) < len(names):
            raise SpecError(f"{place} names a row twice, {', '.join(names.values())}: name different ones")
        pair = {names["better"], names["than"]}
        if pair in [{earlier.better, earlier.than} for earlier in comparisons]:
            raise SpecError(f"{place} repeats an earlier one, {names['better']} and {names['than']}: delete it")
        comparisons.append(Comparison(**names))
    return tuple(comparisons)


def _check_cell(row: Row, column: Column, place: str) -> None:
    if not row.spans and (both := sorted(row.match.keys() & column.match.keys())):
        raise SpecError(
            f"{place} and column {column.label} both match on {', '.join(both)}: leave it to one of them "
            "(or spans: true, for a row that has the same runs in every column)"
        )
    if missing := [group for group in NEEDED if group not in row.match_in(column)]:
        raise SpecError(
            f"{place} and column {column.label} do not say which {', '.join(missing)}: "
            "add it to a match (transform: null for a model without one)"
        )
