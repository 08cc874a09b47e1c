"""Run folders: named by choices, owned by one config, never written over."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from stn_bench.errors import UserError
from stn_bench.results.record import FILE_NAME

CONFIG = "config.yaml"
IRRELEVANT = ("output", "device", "trusted")
"""Root keys that say where and how a run is done, not what it computes."""


class FolderTaken(UserError, ValueError):
    """Raised where a run folder holds a run of another config."""


def is_finished(folder: Path, config: Mapping[str, Any]) -> bool:
    """Whether `folder` holds a finished run of `config`.

    Raises FolderTaken, naming the keys that differ, for a folder that belongs to another config.
    """
    path = folder / CONFIG
    if not path.exists():
        return False
    found = OmegaConf.to_container(OmegaConf.load(path))
    differing = sorted(_differences(_relevant(found), _relevant(config)))
    if differing:
        raise FolderTaken(
            f"{folder} holds a run of another config, which differs in {'; '.join(differing)}: add tag=NAME "
            "to keep both, change the keys back, or delete the folder"
        )
    return (folder / FILE_NAME).exists()


def claim(folder: Path, config: Mapping[str, Any]) -> None:
    """Make `folder` the one of a run of `config`; what an unfinished run logged there is removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("events.out.tfevents.*"):
        stale.unlink()
    write_text(folder / CONFIG, OmegaConf.to_yaml(OmegaConf.create(dict(config))))


def release(folder: Path) -> None:
    """Give `folder` up: what was logged stays until another run claims it, of whatever config."""
    (folder / CONFIG).unlink(missing_ok=True)


def remove_if_empty(folder: str | Path, root: str | Path) -> None:
    """Remove `folder` and those above it, below `root`, as long as they are empty."""
    folder, root = Path(folder).absolute(), Path(root).absolute()
    with suppress(OSError):  # not empty: somebody's
        while root in folder.parents:
            folder.rmdir()
            folder = folder.parent


def write_text(path: Path, text: str) -> None:
    """Write a file all at once: it is there whole, or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)


def _relevant(config: Any) -> Any:
    # through JSON: a copy, in which tuples are lists, as they come back from YAML
    kept = json.loads(json.dumps({key: value for key, value in config.items() if key not in IRRELEVANT}))
    kept.get("data", {}).pop("folder", None)  # where the files lie; what is in them is verified
    return kept


def _differences(found: Any, wanted: Any, key: str = "") -> Iterator[str]:
    if isinstance(found, dict) and isinstance(wanted, dict):
        for name in {*found, *wanted}:
            yield from _differences(found.get(name), wanted.get(name), f"{key}.{name}" if key else name)
    elif found != wanted:
        yield f"{key} (there {found}, now {wanted})"
