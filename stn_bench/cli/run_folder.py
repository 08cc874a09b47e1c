"""Run folders: named by choices, claimed by one config, never written over."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from stn_bench.errors import UserError
from stn_bench.files import write_whole
from stn_bench.results.agreement import MNIST
from stn_bench.results.record import FILE_NAME, WHERE_AND_HOW, RecordError, read_record

CONFIG = "config.yaml"
WEIGHTS = "model.safetensors"


class FolderTaken(UserError, ValueError):
    """Raised where a run folder holds a run of another config."""


class FolderDamaged(UserError, ValueError):
    """Raised where it cannot be told whose run a folder holds."""


def is_claimed(folder: Path) -> bool:
    """Whether `folder` belongs to a run, finished or not."""
    return (folder / CONFIG).exists()


def read_config(path: Path) -> Any:
    """The config that claims a folder. Raises FolderDamaged where there is none in the file."""
    try:
        found: Any = OmegaConf.to_container(OmegaConf.load(path))
        json.dumps(found)
    except (OmegaConfBaseException, YAMLError, ValueError, TypeError, RecursionError, OSError) as error:
        found, why = None, str(error).splitlines()[0]
    else:
        why = "it holds no config of a run"
    if not (isinstance(found, dict) and all(isinstance(found.get(part), dict) for part in ("data", "model", "recipe"))):
        raise FolderDamaged(
            f"{path} cannot be read ({why}), so nobody knows whose run the folder holds: delete the file if it is "
            "this one, which then goes on from where it was, or delete the folder to start over"
        )
    return found


def fingerprint(config: Mapping[str, Any]) -> str:
    """What two configs share that make the same run: a SHA-256, in hex, over the keys that matter."""
    relevant = _relevant(config)
    data = relevant.get("data", {})
    data.pop("folder", None)  # which is compared where the folder's config is
    if data.get("undone") is False:
        del data["undone"]  # as checkpoints have it that are from before there was the key
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


def is_finished(folder: Path, config: Mapping[str, Any]) -> bool:
    """Whether `folder` holds a finished run of `config`.

    Raises FolderTaken, naming the keys that differ, for a folder that belongs to another config, and FolderDamaged.
    """
    if is_claimed(folder):
        found = read_config(folder / CONFIG)
    elif (found := _recorded(folder / FILE_NAME)) is None:
        return False
    differing = sorted(_differences(_relevant(found), _relevant(config)))
    if differing:
        raise FolderTaken(
            f"{folder} holds a run of another config, which differs in {'; '.join(differing)}: add tag=NAME "
            "to keep both, change the keys back, or delete the folder"
        )
    return (folder / FILE_NAME).exists()


def _recorded(path: Path) -> Any:
    """The config of a finished run by its record; None where there is none."""
    try:
        return read_record(path).config
    except (RecordError, OSError):
        return None


def as_begun(folder: Path, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The config where a run of it has begun in `folder`: what it computes as it was written then, be 1 typed now where
    1.0 was. Raises FolderDamaged.
    """
    if not is_claimed(folder):
        return config
    begun = read_config(folder / CONFIG)
    data = dict(begun["data"])
    if _is_mnist(data) and "folder" in config["data"]:
        data["folder"] = config["data"]["folder"]
    return {**config, **{key: value for key, value in begun.items() if key not in WHERE_AND_HOW}, "data": data}


def claim(folder: Path, config: Mapping[str, Any]) -> None:
    """Make `folder` the one of a run of `config`."""
    folder.mkdir(parents=True, exist_ok=True)
    remove_stale(folder)
    write_whole(folder / CONFIG, OmegaConf.to_yaml(OmegaConf.create(dict(config))).encode())


def remove_stale(folder: Path) -> None:
    """Remove what processes left that died while they wrote a file; for the owner of `folder` alone."""
    for stale in folder.glob(".*.tmp"):
        stale.unlink()


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


def _relevant(config: Any) -> Any:
    # through JSON: a copy, in which tuples are lists, as they come back from YAML
    kept = json.loads(json.dumps({key: value for key, value in config.items() if key not in WHERE_AND_HOW}))
    data = kept.get("data", {})
    if _is_mnist(data):
        data.pop("folder", None)  # where the files lie; what is in them is verified
    data.setdefault("undone", False)  # which a run from before there was the key does not say
    return kept


def _is_mnist(data: Mapping[str, Any]) -> bool:
    return data.get("_target_") == MNIST


def _differences(found: Any, wanted: Any, key: str = "") -> Iterator[str]:
    if isinstance(found, dict) and isinstance(wanted, dict):
        for name in {*found, *wanted}:
            yield from _differences(found.get(name), wanted.get(name), f"{key}.{name}" if key else name)
    elif found != wanted:
        yield f"{key} (there {found}, now {wanted})"
