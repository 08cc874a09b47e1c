"""A Hydra sweeper over several grids, for sweeps in which not every choice goes with every other.

A table's baselines take no transformer, so its cells are no single product of choices. `grids` is a list of
mappings from keys to lists of values; each is a product of its own, and the jobs of all are launched together.
"""

import itertools
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_plugins.stn_grid_sweeper._failure import SweepFailed
from hydra_plugins.stn_grid_sweeper.summary import end_of, summary

Grid = Mapping[str, Sequence[Any]]


class GridSweeper(Sweeper):
    """Launches the jobs of all grids; afterwards sums up how many were done, and names those that were not.

    A key on the command line replaces the grids' values for it. Where the grids differ in a key, it narrows them
    instead: `model=cnn` keeps the grids, and of them the values, that list `cnn`.
    """

    def __init__(self, grids: Sequence[Grid] = ()) -> None:
        self.grids = list(grids)
        self.launcher: Launcher | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands over, and make the launcher that the config names."""
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        """Launch the jobs that grids and command line make, and sum up.

        Raises SweepFailed where there are none or one failed, KeyboardInterrupt where the sweep was interrupted.
        """
        # imported here: Hydra loads its own plugins anew when it looks for ours
        from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

        assert self.hydra_context is not None
        assert self.launcher is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        given = parser.parse_overrides(arguments)
        jobs = [
            job
            for grid in expand(self.grids, given)
            for batch in BasicSweeper.split_arguments(parser.parse_overrides(grid), None)
            for job in batch
        ]
        if not jobs:
            raise SweepFailed("the sweep has no jobs: the command line leaves none of its grids' values over")
        self.validate_batch_is_legal(jobs)
        results = list(self.launcher.launch(jobs, initial_job_idx=0))
        ends = [end_of(job, result) for job, result in zip(jobs, results, strict=True)]
        print(summary(ends), file=sys.stderr, flush=True)
        kinds = [end.kind for end in ends]
        if {"interrupted", "not started"} & set(kinds):
            raise KeyboardInterrupt
        if failures := kinds.count("failed"):
            raise SweepFailed(f"{failures} of {len(jobs)} runs failed, see above; the same command retries them")
        return results


def expand(grids: Sequence[Grid], given: Sequence[Override]) -> list[list[str]]:
    """The overrides of each grid, once those given on the command line replace or narrow its values."""
    if not grids:
        return [[str(override.input_line) for override in given]]
    keys = dict.fromkeys(itertools.chain.from_iterable(grids))
    differing = {key for key in keys if any(grid.get(key) != grids[0].get(key) for grid in grids)}
    expanded = []
    for grid in grids:
        values = {key: list(map(str, listed)) for key, listed in grid.items()}
        others = []
        for override in given:
            key = override.get_key_element()
            if key in differing:
                wanted = set(map(_meant, _values(override)))
                values[key] = [value for value in values.get(key, ()) if _meant(value) in wanted]
            else:
                values.pop(key, None)
                others.append(str(override.input_line))
        if all(values.values()):
            expanded.append([*(f"{key}={','.join(listed)}" for key, listed in values.items()), *others])
    return expanded


def _meant(value: str) -> str | float:
    """What a text means: 1 and 1.0 are the same number."""
    try:
        return float(value)
    except ValueError:
        return value


def _values(override: Override) -> list[str]:
    if override.is_sweep_override():
        return list(override.sweep_string_iterator())
    return [override.get_value_element_as_str()]
