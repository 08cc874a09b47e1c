"""The help page of stn-train, made from the first comment line of each config. Free of hydra and torch."""

from collections.abc import Sequence

from stn_bench.cli.choices import GROUPS, choices, own_trees
from stn_bench.cli.reader import ends_with_its_reader

INTRODUCTION = """\
stn-train: train spatial transformer networks and their baselines, one cell or a whole table.

usage: stn-train [GROUP=CHOICE ...] [KEY=VALUE ...]

Without arguments: model=cnn_stn transform=affine data=r recipe=fast seed=1.
"""

EXAMPLES = """\
Examples
  stn-train model=cnn_stn transform=tps data=rts     one cell; recipe=fast is the default
  stn-train model=fcn data=e recipe=paper seed=2
  stn-train seed=1,2,3 -m                            three runs; commas and -m make a sweep
  stn-train sweep=distorted_mnist                    every cell of the table, skipping what is finished
  stn-train sweep=distorted_mnist hydra/launcher=slurm   on a Slurm cluster; ray: on a Ray cluster
  stn-train data.validation=10000                    evaluate on held-out training digits, not on the test set
  stn-train recipe.epochs=5 tag=short                any key; tag= keeps the run beside the one without
  stn-train model=cnn --cfg job                      print the config, do not run
  stn-train --config-dir conf model=mine 'trusted=[mine]'   conf/model/mine.yaml, and classes of a package of yours
  stn-table                                          ours beside the paper's, from whatever runs exist

Root keys, and what runs a sweep
  seed=1                of the weights, the order of the digits and their distortions
  device=auto           auto, cpu, cuda, cuda:N
  tag=null              a word that keeps a variant of a run beside the run
  output=outputs/runs   folder of the run folders DATA/MODEL-TRANSFORM/RECIPE/seedN[-TAG]
  checkpoint.every_minutes=2, checkpoint.every_steps=null
                        how often an unfinished run is saved; the same command goes on from there
  trusted=[]            packages besides stn_bench and torch whose classes a config may name
  hydra/launcher=local  what runs a sweep: local (hydra.launcher.jobs=N: so many runs at once), basic, slurm, ray

Shell completion
  eval "$(stn-train -sc install=bash)"               also zsh, fish; `stn-train --hydra-help` says more
"""


def page(arguments: Sequence[str] = ()) -> str:
    """The whole page, with the choices of config trees that a command line adds."""
    trees = own_trees(arguments)
    sections = [INTRODUCTION]
    for group, about in GROUPS.items():
        lines = [f"{group}=  {about}"]
        for name, explanation in choices(group, trees).items():
            lines.append(f"  {name:<18} {explanation.removeprefix(f'{name}: ')}")
        sections.append("\n".join(lines) + "\n")
    return "\n".join([*sections, EXAMPLES]).rstrip()


@ends_with_its_reader
def show(arguments: Sequence[str]) -> int:
    """Print the page and return 0."""
    print(page(arguments))
    return 0
