"""What the launchers on clusters share, and what Ray is started with."""

import pickle
from types import SimpleNamespace

import pytest
from hydra.conf import HydraConf, SweepDir
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from hydra_plugins.stn_cluster_launchers._sweep import Sweep, Worded
from hydra_plugins.stn_cluster_launchers.ray_launcher import OBJECT_STORE_BYTES, init_arguments
from hydra_plugins.stn_jobs._failure import JobFailed
from stn_bench.errors import UserError


def failing(error):
    def task(config):
        raise error

    return Worded(task)


@pytest.fixture
def sweep():
    """One of two jobs, whose configs name a folder by their first override."""

    def load(config, overrides):
        return OmegaConf.create({"name": overrides[0], "hydra": HydraConf(sweep=SweepDir(".", "runs/${name}"))})

    context = SimpleNamespace(config_loader=SimpleNamespace(load_sweep_config=load))
    return Sweep(context, OmegaConf.create(), [["seed=1", "model=fcn"], ["seed=2", "model=fcn"]])


def test_an_error_that_a_user_can_mend_comes_back_in_its_words_on_a_line(capfd):
    with pytest.raises(JobFailed, match=r"^lower it$") as caught:
        failing(UserError("lower\nit"))(None)
    assert str(pickle.loads(pickle.dumps(caught.value))) == "lower it"
    assert capfd.readouterr().err == ""


def test_a_bug_comes_back_by_name_and_leaves_its_traceback_in_the_jobs_log(capfd):
    with pytest.raises(JobFailed, match=r"^ZeroDivisionError: a bug$"):
        failing(ZeroDivisionError("a bug"))(None)
    assert capfd.readouterr().err.startswith("Traceback (most recent call last):\n")


def test_a_task_that_returns_returns():
    assert Worded(str.upper)("done") == "DONE"


def test_a_job_is_told_by_what_distinguishes_it_and_how_it_ended(sweep, capfd):
    done = JobReturn(status=JobStatus.COMPLETED)
    done.return_value = "done  well"
    assert sweep.end(1, done) is done
    lost = sweep.end(0, JobFailed("killed"))
    assert capfd.readouterr().err == "[1/2] seed=2  done  well\n[2/2] seed=1  FAILED  killed\n"
    assert (lost.status, str(lost._return_value)) == (JobStatus.FAILED, "killed")


def test_a_job_that_told_nothing_of_itself_is_given_its_overrides_and_its_folder(sweep, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lost = sweep.end(0, JobFailed("killed"))
    assert lost.overrides == ["seed=1", "model=fcn"]
    assert lost.hydra_cfg.hydra.runtime.output_dir == str(tmp_path / "runs/seed=1")


def test_a_cluster_for_one_sweep_has_a_small_object_store(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    given = OmegaConf.create({"address": None, "num_cpus": 2})
    assert init_arguments(given) == {"num_cpus": 2, "object_store_memory": OBJECT_STORE_BYTES}


def test_a_cluster_that_runs_is_taken_as_it_is(monkeypatch):
    given = OmegaConf.create({"address": "auto", "num_cpus": None})
    assert init_arguments(given) == {"address": "auto"}
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert init_arguments(OmegaConf.create({"address": None})) == {}
