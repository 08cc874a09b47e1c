"""What follows from a job's overrides: where its folder is, and what to call it."""

import copy
import os
from collections.abc import Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import filter_overrides
from omegaconf import DictConfig, open_dict, read_write


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
