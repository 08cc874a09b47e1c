"""Names and types of the root config keys, which no constructor checks. Free of torch."""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf


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
    trusted: list[str] = field(default_factory=list)


def register() -> None:
    """Make known to Hydra the schema, as the choice `schema` of the defaults list, and the resolver `suffix`."""
    OmegaConf.register_new_resolver("suffix", lambda word: "" if word is None else f"-{word}", replace=True)
    ConfigStore.instance().store(name="schema", node=TrainConfig)
