"""A Hydra sweeper over several grids, for sweeps in which not every choice goes with every other.

A table's baselines take no transformer, so its cells are no single product of choices. `grids` is a list of
mappings from keys to lists of values; each is a product of its own, and the jobs of all are launched together.
"""

import itertools
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
from omegaconf.errors import OmegaConfBaseException

from hydra_plugins.stn_grid_sweeper.summary import end_of, summary
from hydra_plugins.stn_jobs._failure import SweepFailed
from hydra_plugins.stn_jobs._overrides import values_of
from stn_bench.stderr import say

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

        Raises SweepFailed where there are none, one failed or two have one folder, KeyboardInterrupt where the sweep
        was interrupted.
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
        self._check(jobs)
        results = list(self.launcher.launch(jobs, initial_job_idx=0))
        ends = [end_of(job, result) for job, result in zip(jobs, results, strict=True)]
        say(summary(ends))
        kinds = [end.kind for end in ends]
        if {"interrupted", "not started"} & set(kinds):
            raise KeyboardInterrupt
        if failures := kinds.count("failed"):
            raise SweepFailed(f"{failures} of {len(jobs)} runs failed, see above; the same command retries them")
        return results

    def _check(self, jobs: Sequence[Sequence[str]]) -> None:
        """Compose the config of each job; raise SweepFailed where different ones would be runs of one folder."""
        assert self.hydra_context is not None
        assert self.config is not None
        whose: dict[str, tuple[Sequence[str], DictConfig]] = {}
        for job in jobs:
            config = self.hydra_context.config_loader.load_sweep_config(self.config, list(job))
            try:
                folder = config.hydra.sweep.subdir
            except OmegaConfBaseException:  # one's own, of what is known when the job runs, as its number
                continue
            first, earlier = whose.setdefault(folder, (job, config))
            differing = [word for word in (*job, *first) if word not in first or word not in job]
            if differing and _plain(config) != _plain(earlier):
                raise SweepFailed(
                    f"{' '.join(first)} and {' '.join(job)} would be one run folder, {folder}: {_way_out(differing[0])}"
                )


def expand(grids: Sequence[Grid], given: Sequence[Override]) -> list[list[str]]:
    """The overrides of each grid, once those given on the command line replace or narrow its values.

    Raises SweepFailed for several sweeps in one, and for a value that no grid has where they differ in its key.
    """
    if any(override.key_or_group == "sweep" and override.is_sweep_override() for override in given):
        raise SweepFailed("several sweeps are no sweep: type a command for each")
    if not grids:
        return [[str(override.input_line) for override in given]]
    keys = dict.fromkeys(itertools.chain.from_iterable(grids))
    differing = {key for key in keys if any(grid.get(key) != grids[0].get(key) for grid in grids)}
    for override in given:
        if (key := override.get_key_element()) in differing:
            there_are = dict.fromkeys(str(value) for grid in grids for value in grid.get(key, ()))
            if unknown := [value for value in values_of(override) if _meant(value) not in map(_meant, there_are)]:
                raise SweepFailed(
                    f"{key}={','.join(unknown)} is in none of the sweep's grids, which have {', '.join(there_are)}"
                )
    expanded = []
    for grid in grids:
        values = {key: list(map(str, listed)) for key, listed in grid.items()}
        others = []
        for override in given:
            key = override.get_key_element()
            if key in differing:
                wanted = set(map(_meant, values_of(override)))
                values[key] = [value for value in values.get(key, ()) if _meant(value) in wanted]
            else:
                values.pop(key, None)
                others.append(str(override.input_line))
        if all(values.values()):
            expanded.append([*(f"{key}={','.join(listed)}" for key, listed in values.items()), *others])
    return expanded


def _way_out(word: str) -> str:
    """What to do where two jobs that differ by such a word would share a folder."""
    key, _, value = word.lstrip("+~").partition("=")
    if "/" in key or value.startswith(("[", "{")):  # of which a tag cannot be made
        return "type a command for each, with a tag=NAME of its own"
    return f"name them apart, as by 'tag=${{{key}}}', which takes the value of {key} for the tag"


def _plain(config: DictConfig) -> dict[Any, Any]:
    """What a job is to do, without what Hydra keeps of it."""
    return {key: config._get_node(key) for key in config if key != "hydra"}


def _meant(value: str) -> str | float:
    """What a text means: 1 and 1.0 are the same number."""
    try:
        return float(value)
    except ValueError:
        return value
