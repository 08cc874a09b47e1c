"""Sweeps through launchers whose engine is not there, or there twice."""

import sys
from types import ModuleType

import pytest
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

SWEEP = ("recipe=smoke", "model=fcn", "seed=1,2", "-m")
SUBMITIT = "hydra_plugins.hydra_submitit_launcher.submitit_launcher"


@pytest.mark.parametrize(
    ("launcher", "module", "name"), [("slurm", SUBMITIT, "submitit"), ("ray", "ray", "Ray")], ids=["slurm", "ray"]
)
def test_a_launcher_that_is_not_installed_says_how_to_install_it(stn_train, monkeypatch, launcher, module, name):
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not there
    said = stn_train(f"hydra/launcher={launcher}", *SWEEP)
    assert said == (
        1,
        "",
        f"stn-train: hydra/launcher={launcher} needs {name}, which is not installed: "
        f"pip install -e '.[{launcher}]' in the checkout\n",
    )


def test_a_machine_without_slurm_is_told_by_what_it_lacks(stn_train, monkeypatch, tmp_path):
    submitit = ModuleType(SUBMITIT)
    submitit.SlurmLauncher = object
    monkeypatch.setitem(sys.modules, "hydra_plugins.hydra_submitit_launcher", ModuleType("hydra_submitit_launcher"))
    monkeypatch.setitem(sys.modules, SUBMITIT, submitit)
    monkeypatch.setenv("PATH", str(tmp_path))
    said = stn_train("hydra/launcher=slurm", *SWEEP)
    assert said == (
        1,
        "",
        "stn-train: hydra/launcher=slurm finds no sbatch, srun, squeue, scontrol here: type the command on a machine "
        "that submits jobs to a Slurm cluster, or leave hydra/launcher out\n",
    )


def test_a_plugin_with_a_launcher_of_the_same_name_does_not_take_its_place(stn_train):
    stn_train("--cfg", "hydra", "-p", "hydra.launcher")  # has Hydra load its plugins
    store = ConfigStore.instance()
    before = dict(store.repo["hydra"]["launcher"])
    try:
        # as hydra-ray-launcher has it
        store.store(
            group="hydra/launcher", name="ray", node={"_target_": "elsewhere", "ray": {"init": {}, "remote": {}}}
        )
        said = stn_train("hydra/launcher=ray", "--cfg", "hydra", "-p", "hydra.launcher")
    finally:
        store.repo["hydra"]["launcher"] = before
    assert said.code == 0, said.err
    assert said.err == ""
    assert OmegaConf.create(said.out)._target_.endswith(".stn_cluster_launchers.ray_launcher.RayLauncher")
