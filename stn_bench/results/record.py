"""The record of a finished run: `result.json`, one per run folder, written last and all at once."""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypedDict, Union, get_args, get_origin, get_type_hints, is_typeddict

from stn_bench.errors import UserError
from stn_bench.files import write_whole
from stn_bench.results.statistics import wilson_interval

FILE_NAME = "result.json"
SCHEMA = 1
WHERE_AND_HOW = ("output", "device", "trusted", "checkpoint")
"""Root keys of a config that say where and how a run is done, not what it computes."""


class RecordError(UserError, ValueError):
    """A file that is not a record this version can read, or numbers that contradict one another."""


class TornRecordError(RecordError):
    """A file that is not whole: the run's word that it is done was damaged after it was given."""


class Choices(TypedDict):
    """What was chosen in each config group; None: the group does not apply."""

    model: str
    transform: str | None
    data: str
    recipe: str
    tag: str | None


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """Everything that a table needs to know of one run. Errors are fractions, never percent.

    Raises `RecordError` where `error` is not `errors / images`, or `wilson_95` not the interval of these.
    """

    schema: int = SCHEMA
    choices: Choices
    seed: int
    evaluated_on: Literal["test", "validation"]
    error: float  # errors / images
    errors: int  # images that were classified wrongly
    images: int  # images that were evaluated
    wilson_95: tuple[float, float]  # lowest and highest error rate, see statistics.wilson_interval
    steps: int
    epochs: float
    images_seen: int  # in training, counted again at each visit
    seconds: float  # of training
    images_per_second: float
    parameters: int  # trainable ones
    device: str  # in words, e.g. "NVIDIA H100" or "CPU, 2 threads"; "A, then B" for a run that went on with another,
    precision: str  # as here, in versions and in git_commit
    config: dict[str, Any]  # the full resolved config
    versions: dict[str, Any]
    git_commit: str | None
    data_sha256: str
    warp: dict[str, float | None]  # statistics of theta; empty for a model without a transformer
    finished_at: str  # ISO 8601, UTC
    folder: Path | None = field(default=None, compare=False)  # where it was read from; not part of the file

    def __post_init__(self) -> None:
        """Refuse counts that contradict the error rate or its interval."""
        if not 0 <= self.errors <= self.images or self.images < 1:
            raise RecordError(f"{self.errors} errors among {self.images} images cannot be: 0 <= errors <= images")
        if not math.isclose(self.error, self.errors / self.images, abs_tol=1e-9):
            raise RecordError(
                f"error {self.error} is not {self.errors} errors / {self.images} images: give the fraction, not percent"
            )
        ends = zip(self.wilson_95, wilson_interval(self.errors, self.images), strict=True)
        if not all(math.isclose(end, of_counts, abs_tol=1e-9) for end, of_counts in ends):
            raise RecordError(
                f"wilson_95 {self.wilson_95} is not that of {self.errors} errors among {self.images} images: "
                "give statistics.wilson_interval of these"
            )


def write_record(folder: Path | str, record: RunRecord) -> Path:
    """Write `result.json` into a run folder that exists, and return its path.

    The file appears complete or not at all: its presence is the sign that the run is done.
    JSON has no NaN and no infinity; where `config` or `warp` hold one, null is written.
    Raises `RecordError` for a field of the wrong type: what is written can be read.
    """
    path = Path(folder) / FILE_NAME
    content = {name: getattr(record, name) for name in _TYPES}
    content |= {name: _null_for_nan(content[name]) for name in ("config", "warp")}
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    if problem := _problem(json.loads(text)):
        raise RecordError(f"this record cannot be written to {path}: it {problem}")
    write_whole(path, text.encode())
    return path


def read_record(path: Path | str) -> RunRecord:
    """Read one `result.json`.

    Raises `RecordError`, naming the file and what to do, where it is truncated, of another schema, lacks a field,
    has one too many or one of the wrong type; `OSError` where it cannot be opened.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # malformed JSON, malformed UTF-8, nested to make readers stumble
        raise TornRecordError(f"{path} is not whole JSON ({error}): delete it and start the run again") from error
    if not isinstance(content, dict) or "schema" not in content:
        raise RecordError(f"{path} is not a run record, it states no schema: move it out of the runs folder")
    if content["schema"] != SCHEMA:
        raise RecordError(
            f"{path} has schema {content['schema']!r} and this stn_bench reads schema {SCHEMA}: "
            "use the version that wrote it, or start the run again"
        )
    if problem := _problem(content):
        raise RecordError(f"{path} {problem}: delete it and start the run again")
    try:
        return RunRecord(**content | {"wilson_95": tuple(content["wilson_95"])}, folder=path.parent)
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from error


def find_records(root: Path | str) -> list[RunRecord]:
    """All records below a folder, in the order of their paths.

    One that cannot be read is left out with a `UserWarning` that names it.
    Raises `NotADirectoryError` where `root` is no folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise NotADirectoryError(f"there is no folder {root}: name one that holds runs")
    records = []
    for path in sorted(root.rglob(FILE_NAME)):
        try:
            records.append(read_record(path))
        except (RecordError, OSError) as error:
            warnings.warn(f"left out: {error}", stacklevel=2)
    return records


_TYPES = {name: kind for name, kind in get_type_hints(RunRecord).items() if name != "folder"}


def _problem(content: dict[str, Any]) -> str | None:
    """What keeps a JSON object from being a record, as the end of a sentence; None where nothing does."""
    if missing := sorted(_TYPES.keys() - content.keys()):
        return f"lacks {', '.join(missing)}"
    if unknown := sorted(content.keys() - _TYPES.keys()):
        return f"has the unknown {', '.join(unknown)}"
    wrong = [name for name, kind in _TYPES.items() if not _fits(content[name], kind)]
    return f"has {wrong[0]} = {content[wrong[0]]!r}, not what belongs there" if wrong else None


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value out of a JSON file is of an annotated type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if is_typeddict(kind):
        wanted = get_type_hints(kind)
        return (
            isinstance(value, dict)
            and value.keys() == wanted.keys()
            and all(_fits(value[k], wanted[k]) for k in wanted)
        )
    if origin in (Union, UnionType):
        return any(_fits(value, argument) for argument in arguments)
    if origin is Literal:
        return value in arguments
    if origin is tuple:
        return isinstance(value, list) and len(value) == len(arguments) and all(map(_fits, value, arguments))
    if origin is dict:
        return isinstance(value, dict) and all(_fits(item, arguments[1]) for item in value.values())
    if kind in (int, float):  # bool is an int to Python, not to us
        if isinstance(value, int) and not isinstance(value, bool):
            return -(2**63) <= value < 2**63
        return kind is float and isinstance(value, float)
    return kind is Any or isinstance(value, kind)


def _null_for_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _null_for_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_null_for_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
