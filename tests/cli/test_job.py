"""What a run says of where it was done; what it does is in test_train_command.py."""

import re
import shutil
import subprocess

import pytest
import torch

from stn_bench.cli import parts, provenance
from stn_bench.cli.build import ConfigError
from stn_bench.cli.parts import Parts, choose_device, describe, limit_threads
from stn_bench.cli.provenance import git_commit


@pytest.fixture
def gpus(monkeypatch):
    """A function that makes this a machine of so many GPUs, on which torch computes or raises an error."""

    def make(count, error=None):
        def zeros(*size, device):
            if device.type == "cuda" and error:
                raise error
            return torch.ones(*size)

        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch, "zeros", zeros)

    return make


@pytest.mark.parametrize(("count", "chosen"), [(1, "cuda"), (0, "cpu")])
def test_auto_is_the_gpu_where_there_is_one(gpus, caplog, count, chosen):
    gpus(count)
    assert choose_device("auto") == torch.device(chosen)
    assert choose_device("cpu") == torch.device("cpu")
    assert not caplog.records


def test_a_gpu_that_torch_has_no_kernels_for_is_not_taken(gpus, caplog):
    gpus(1, RuntimeError("CUDA error: no kernel image is available\nCUDA kernel errors might be reported later"))
    assert choose_device("auto") == torch.device("cpu")
    why = rf"torch {re.escape(torch.__version__)} cannot compute on .* \(CUDA error: no kernel image is available\): "
    assert re.fullmatch(f"{why}the CPU is taken", caplog.records[0].getMessage())
    for name in ("cuda", "cuda:0"):
        with pytest.raises(ConfigError, match=f"^device={name}, but {why}use device=cpu, or install a torch that is"):
            choose_device(name)


def test_a_gpu_whose_memory_is_used_up_is_no_reason_for_the_cpu(gpus):
    gpus(1, torch.OutOfMemoryError("CUDA out of memory."))
    with pytest.raises(torch.OutOfMemoryError):
        choose_device("auto")


def test_one_of_several_gpus_can_be_named(gpus):
    gpus(2)
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(ConfigError, match=r"^device=cuda:2, but GPUs here are cuda:0 to cuda:1$"):
        choose_device("cuda:2")


def test_a_cpu_with_a_number_is_a_cpu(compose_config):
    assert Parts.of(compose_config("model=fcn", "device=cpu:0")).device.type == "cpu"


@pytest.mark.parametrize(
    ("cores", "variables", "threads"), [(2, {}, [2]), (8, {}, []), (9, {}, []), (2, {"OMP_NUM_THREADS": "8"}, [])]
)
def test_torch_gets_no_more_threads_than_there_are_cores_but_those_asked_for(monkeypatch, cores, variables, threads):
    set_to = []
    monkeypatch.delenv("OMP_NUM_THREADS")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(parts, "usable_cores", lambda: cores)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(torch, "set_num_threads", set_to.append)
    limit_threads()
    assert set_to == threads


@pytest.mark.parametrize("name", ["tpu", "cuda:x", "meta", ""])
def test_an_unknown_device_is_refused_by_name(name):
    with pytest.raises(ConfigError, match=f"^device={name} is not known: use auto, cpu, cuda or cuda:N$"):
        choose_device(name)


@pytest.mark.parametrize(("threads", "words"), [(1, "CPU, 1 thread ("), (2, "CPU, 2 threads (")])
def test_a_cpu_is_told_by_its_threads(monkeypatch, threads, words):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    found = describe(torch.device("cpu"))
    assert found.startswith(words)
    assert found.endswith(", AVX2)")


def test_a_gpu_is_told_by_its_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    assert describe(torch.device("cuda:1")) == "GPU 1"


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A source tree elsewhere, of which the module believes to be a part."""
    (tmp_path / "stn_bench/cli").mkdir(parents=True)
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "stn_bench/cli/provenance.py"))
    return tmp_path


def test_outside_of_a_source_tree_there_is_no_commit(tree):
    assert git_commit() is None


def test_where_git_does_not_answer_there_is_no_commit(tree, monkeypatch):
    (tree / ".git").mkdir()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tree.parent))
    assert git_commit() is None
    monkeypatch.setenv("PATH", "")
    assert git_commit() is None


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_commit_is_marked_where_the_package_was_changed_since(tree):
    def git(*words):
        identity = ("-c", "user.name=x", "-c", "user.email=x@x", "-c", "commit.gpgsign=false")
        return subprocess.run(["git", "-C", tree, *identity, *words], check=True, capture_output=True, text=True).stdout

    (tree / "stn_bench/module.py").write_text("1")
    for folder in ("configs", "notes"):
        (tree / folder).mkdir()
        (tree / folder / "file").write_text("1")
    (tree / "pyproject.toml").touch()
    git("init")
    git("add", ".")
    git("commit", "--message=all")
    commit = git("rev-parse", "HEAD").strip()
    assert git_commit() == commit
    (tree / "notes/file").write_text("2")
    assert git_commit() == commit
    (tree / "configs/file").write_text("2")
    assert git_commit() == f"{commit}+"
    git("checkout", "configs")
    assert git_commit() == commit
    (tree / "stn_bench/added.py").touch()
    assert git_commit() == f"{commit}+"
