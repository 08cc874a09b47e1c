"""The command stn-train: compose a config, build what it describes, run it. Free of torch until a run starts."""

import os
import sys
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main() -> None:
    """Entry point of `stn-train`. Exits with 1 and one sentence on what a user can mend."""
    from stn_bench.cli.choices import NameTaken, check_names, own_trees

    try:
        check_names(own_trees(sys.argv[1:]))
    except NameTaken as error:
        sys.exit(f"stn-train: {error}")
    if {"-h", "--help"} & set(sys.argv[1:]):
        from stn_bench.cli.help import show

        if show(sys.argv[1:]) != 0:
            sys.exit(1)
        return
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # errors come to us, to be put in a sentence
    import hydra
    from hydra.core.plugins import Plugins

    from hydra_plugins.stn_cluster_launchers import RayLauncher, SlurmLauncher
    from hydra_plugins.stn_grid_sweeper import GridSweeper
    from hydra_plugins.stn_local_launcher import LocalLauncher
    from stn_bench import schema
    from stn_bench.cli.arguments import options_last
    from stn_bench.cli.mistakes import explain

    schema.register()
    # an editable install hides them from Hydra's own search
    for plugin in (GridSweeper, LocalLauncher, RayLauncher, SlurmLauncher):
        Plugins.instance().register(plugin)
    # hydra-ray-launcher, if it happens to be installed, has a config of this name; ours comes before it
    warnings.filterwarnings("ignore", r"\s*'hydra/launcher/ray' is validated against ConfigStore schema")
    decorated = hydra.main(version_base="1.3", config_path="pkg://stn_bench.configs", config_name="train")(_job)
    try:
        sys.argv[1:] = options_last(sys.argv[1:])
        decorated()
    except KeyboardInterrupt:
        from stn_bench.stderr import say

        say("stn-train: interrupted; the same command goes on from the last checkpoint")
        sys.exit(130)  # as a shell says of a command ended by Ctrl-C
    except Exception as error:
        sentence = explain(error, sys.argv[1:])
        if sentence is None:
            raise
        sys.exit(f"stn-train: {sentence}")


def _job(cfg: "DictConfig") -> str:
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from stn_bench.cli.chosen import chosen
    from stn_bench.cli.finished import skip
    from stn_bench.cli.ownership import RunInProgress
    from stn_bench.cli.run_folder import remove_if_empty
    from stn_bench.errors import UserError

    try:
        chosen(cfg)  # refuses a list of choices, before its folder is looked at
        return skip(cfg) or _train(cfg)
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, RunInProgress) and HydraConfig.get().mode == RunMode.MULTIRUN:
            return f"elsewhere  {error.owner}"  # a sweep shares its work with others
        remove_if_empty(HydraConfig.get().runtime.output_dir, cfg.output)  # made by Hydra before the job
        if HydraConfig.get().mode == RunMode.MULTIRUN or not isinstance(error, UserError):
            raise  # a sweep goes on, and sums up
        sys.exit(f"stn-train: {error}")


def _train(cfg: "DictConfig") -> str:
    from stn_bench.cli.job import train  # and with it torch, which takes seconds
    from stn_bench.stderr import say
    from stn_bench.training.interruption import Interrupted

    try:
        return train(cfg)
    except Interrupted as end:
        say(f"stn-train: {end.name}; the same command goes on from the last checkpoint")
        raise
