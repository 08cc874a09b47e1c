"""What a job has chosen in each config group, as its record says it. Free of torch."""

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from stn_bench.errors import UserError
from stn_bench.results.record import Choices


class SeveralChosen(UserError, ValueError):
    """A list of choices in a group of which a run has one; Hydra would merge their configs."""


def chosen(cfg: DictConfig) -> Choices:
    """The choices of the current job. Raises SeveralChosen."""
    found = HydraConfig.get().runtime.choices
    for group in ("data", "model", "transform", "recipe"):
        if group not in found and cfg[group] is not None:  # Hydra names no choice where a list was given
            raise SeveralChosen(
                f"{group}=[...] merges several choices into one: give {group}=NAME, or {group}=NAME,NAME with -m for "
                "a run of each"
            )
    return Choices(
        data=found["data"],
        model=found["model"],
        transform=found.get("transform"),
        recipe=found["recipe"],
        tag=cfg.tag,
    )
