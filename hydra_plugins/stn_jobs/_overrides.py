"""What follows from a job's overrides: its config, its folder, its name, the values that one of them names."""

import copy
import os
from collections.abc import Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from hydra.core.utils import filter_overrides
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict, read_write


def job_config(hydra_context: HydraContext, config: DictConfig, overrides: Sequence[str], number: int) -> DictConfig:
    """The config of a job of a sweep of `config`; it has this number among all jobs of the command."""
    found = hydra_context.config_loader.load_sweep_config(config, list(overrides))
    with open_dict(found):
        found.hydra.job.id, found.hydra.job.num = str(number), number
    return found


def hydra_config(config: DictConfig) -> DictConfig:
    """Hydra's part of a job's config, which says where its folder is, as `run_job` will make it."""
    before = HydraConfig.instance().cfg
    try:
        HydraConfig.instance().set_config(config)  # for interpolations
        hydra_cfg: Any = copy.deepcopy(HydraConfig.instance().cfg)
        folder = os.path.abspath(os.path.join(str(config.hydra.sweep.dir), str(config.hydra.sweep.subdir)))
    finally:
        HydraConfig.instance().cfg = before
    with read_write(hydra_cfg.hydra.runtime), open_dict(hydra_cfg.hydra.runtime):
        hydra_cfg.hydra.runtime.output_dir = folder
    return hydra_cfg


def short_names(job_overrides: Sequence[Sequence[str]]) -> list[str]:
    """Each job by the overrides that not all of them have."""
    shared = set.intersection(*map(set, job_overrides)) if len(job_overrides) > 1 else set()
    return [" ".join(word for word in filter_overrides(job) if word not in shared) for job in job_overrides]


def values_of(override: Override) -> list[str]:
    """The values that an override names: several in a sweep."""
    if override.is_sweep_override():
        return list(override.sweep_string_iterator())
    return [override.get_value_element_as_str()]
