"""Names and types of the root config keys, which no constructor checks. Free of torch."""

import re
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from stn_bench.errors import UserError


class TagError(UserError, ValueError):
    """A tag that cannot be part of a run folder's name."""


class NoFolderError(UserError, ValueError):
    """A folder without a name, as of an environment variable that is not set."""


@dataclass
class CheckpointConfig:
    """How often an unfinished run is saved; None: not by this count."""

    every_minutes: float | None = 2.0
    every_steps: int | None = None


@dataclass
class TrainConfig:
    """The root of `stn-train`'s config; `configs/train.yaml` says what each key means."""

    data: Any = MISSING
    model: Any = MISSING
    transform: Any = None
    recipe: Any = MISSING
    seed: int = 1
    device: str = "auto"
    tag: str | None = None
    output: str = "outputs/runs"
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    trusted: list[str] = field(default_factory=list)


def _suffix(word: str | None) -> str:
    if word is None:
        return ""
    if not re.fullmatch(r"[\w.-]+", word) or word.startswith("."):
        raise TagError(f"tag={word} is no word for a folder's name: use letters, digits, _ - and .")
    return f"-{word}"


def _named(key: str, folder: str) -> str:
    if not folder.strip():
        raise NoFolderError(f"{key}= names no folder: give one, . for this one")
    return folder


# on import: a process that is handed a config, a worker's, imports this module for its type and runs nothing else of it
OmegaConf.register_new_resolver("suffix", _suffix, replace=True)
OmegaConf.register_new_resolver("named", _named, replace=True)


def register() -> None:
    """Make the schema known to Hydra, as the choice `schema` of the defaults list."""
    ConfigStore.instance().store(name="schema", node=TrainConfig)
