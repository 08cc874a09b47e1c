"""Jobs at once times threads of each are the usable cores; GPUs are handed out one by one."""

import os
import subprocess
import sys
from importlib.machinery import PathFinder

import pytest

from hydra_plugins.stn_local_launcher import _slots as module
from hydra_plugins.stn_local_launcher._slots import (
    QUOTAS,
    SlotError,
    _quota,
    slots,
    torch_knows_gpus,
    usable_cores,
    visible_gpus,
)


@pytest.fixture
def machine(monkeypatch):
    """A function that makes this a machine of so many cores and such GPUs, whatever the environment says."""
    for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)

    def make(cores, gpus=()):
        monkeypatch.setattr(module, "usable_cores", lambda: cores)
        monkeypatch.setattr(module, "visible_gpus", lambda: list(gpus))
        monkeypatch.setattr(module, "torch_knows_gpus", lambda: True)

    return make


def test_a_torch_without_gpus_is_given_the_cores(machine, monkeypatch):
    machine(4, ["0"])
    monkeypatch.setattr(module, "torch_knows_gpus", lambda: False)
    assert slots("auto", None, 1, 4) == [{"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}] * 4


def test_whether_torch_was_built_for_gpus_is_read_without_it():
    program = "from hydra_plugins.stn_local_launcher._slots import torch_knows_gpus\nimport sys\n"
    program += "found = torch_knows_gpus()\nassert 'torch' not in sys.modules\nimport torch\n"
    program += "print(found == bool(torch.version.cuda or torch.version.hip))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "True\n"


@pytest.mark.parametrize(("words", "known"), [("cuda: Optional[str] = '13.0'", True), ('hip = "6"', True), ("", False)])
def test_what_torch_says_of_its_build_is_understood(tmp_path, monkeypatch, words, known):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/__init__.py").write_text("")
    (tmp_path / "torch/version.py").write_text(f"cuda: Optional[str] = None\nhip: Optional[str] = None\n{words}\n")
    found = PathFinder.find_spec("torch", [str(tmp_path)])
    monkeypatch.setattr(module, "find_spec", lambda name: found)
    assert torch_knows_gpus() == known


@pytest.mark.parametrize(
    ("cores", "jobs", "count", "at_once", "threads"),
    [
        (2, None, 12, 2, 1),
        (2, None, 1, 1, 2),
        (2, 1, 12, 1, 2),
        (8, None, 3, 3, 2),
        (8, 2, 12, 2, 4),
        (2, 5, 12, 5, 1),  # more than cores: as was asked, each with the least
    ],
)
def test_the_cores_are_shared_out_among_the_jobs_at_once(machine, cores, jobs, count, at_once, threads):
    machine(cores)
    found = slots("cpu", jobs, 1, count)
    assert found == [{"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}] * at_once


@pytest.mark.parametrize("files", QUOTAS, ids=["version 2", "version 1"])
@pytest.mark.parametrize(
    ("words", "cores"), [("200000 100000", 2), ("150000 100000", 2), ("1000 100000", 1), (None, sys.maxsize)]
)
def test_a_containers_share_of_the_cores_is_rounded_up(tmp_path, monkeypatch, files, words, cores):
    monkeypatch.setattr(module, "CGROUPS", tmp_path)
    assert _quota(*files) == sys.maxsize
    words = words or ("max 100000" if len(files) == 1 else "-1 100000")
    (tmp_path / "cpu").mkdir()
    for file, content in zip(files, [words] if len(files) == 1 else words.split(), strict=True):
        (tmp_path / file).write_text(f"{content}\n")
    assert _quota(*files) == cores
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    assert usable_cores() == min(cores, 64)


@pytest.mark.parametrize(("given", "threads"), [("1", "1"), ("3,2", "3"), ("64", "4"), ("many", "4"), ("0", "4")])
def test_the_users_own_omp_num_threads_is_the_most_a_job_gets(machine, monkeypatch, given, threads):
    machine(8)
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert {slot["OMP_NUM_THREADS"] for slot in slots("cpu", 2, 1, 9)} == {threads}


@pytest.mark.parametrize(
    ("device", "jobs", "per_gpu", "gpus"),
    [
        ("auto", None, 1, ["a", "b"]),
        ("cuda", None, 2, ["a", "b", "a", "b"]),
        ("cuda", 3, 1, ["a", "b", "a"]),
        ("auto", 1, 2, ["a"]),
        ("cpu", 2, 1, [None, None]),
        ("cuda:1", None, 2, [None, None]),  # a number means what it means outside of the sweep
    ],
)
def test_each_job_sees_its_own_gpu(machine, device, jobs, per_gpu, gpus):
    machine(8, ["a", "b"])
    assert [slot.get("CUDA_VISIBLE_DEVICES") for slot in slots(device, jobs, per_gpu, 12)] == gpus


@pytest.mark.parametrize(
    ("jobs", "per_gpu", "name"), [(0, 1, "jobs=0"), (-1, 1, "jobs=-1"), ("all", 1, "jobs=all"), (None, 0, "per_gpu=0")]
)
def test_no_place_for_any_job_is_refused(machine, jobs, per_gpu, name):
    machine(2)
    with pytest.raises(SlotError, match=f"^hydra.launcher.{name}: give 1 or more$"):
        slots("cpu", jobs, per_gpu, 3)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity here")
@pytest.mark.parametrize(("quota", "cores"), [(sys.maxsize, 3), (4, 3), (2, 2)])
def test_cores_that_this_process_may_not_use_do_not_count(monkeypatch, quota, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5, 7})
    monkeypatch.setattr(module, "_quota", lambda *files: quota)  # this machine may have one
    assert usable_cores() == cores


@pytest.mark.parametrize(
    ("given", "gpus"),
    [
        *[("", []), ("-1", []), ("0", ["0"]), ("1, 0", ["1", "0"]), ("0,-1,2", ["0"])],
        *[("GPU-x,MIG-y", ["GPU-x", "MIG-y"]), ("NoDevFiles", []), ("1,none,0", ["1"])],
    ],
)
def test_cuda_visible_devices_is_read_as_cuda_reads_it(monkeypatch, given, gpus):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert visible_gpus() == gpus


LISTED = """\
GPU 0: NVIDIA H100 (UUID: GPU-11)
GPU 1: NVIDIA H100 (UUID: GPU-22)
  MIG 1g.10gb     Device  0: (UUID: MIG-33)
  MIG 1g.10gb     Device  1: (UUID: MIG-44)
GPU 2: NVIDIA H100 (UUID: GPU-55)
"""


def test_the_driver_is_asked_for_gpus_and_the_parts_of_a_split_one_take_its_place(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(subprocess, "run", lambda words, **_: subprocess.CompletedProcess(words, 0, stdout=LISTED))
    assert visible_gpus() == ["GPU-11", "MIG-33", "MIG-44", "GPU-55"]


def test_a_driver_that_fails_has_no_gpus(monkeypatch):
    def fail(words, **_):
        raise subprocess.CalledProcessError(9, words)

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(subprocess, "run", fail)
    assert visible_gpus() == []


@pytest.mark.parametrize(
    ("files", "gpus"),
    [((), []), (("null", "nvidiactl", "nvidia-uvm", "nvidia0", "nvidia5"), ["0", "1"])],  # CUDA numbers them anew
)
def test_without_the_drivers_program_gpus_are_counted_by_their_files(tmp_path, monkeypatch, files, gpus):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(module, "DEVICES", tmp_path)
    for name in files:
        (tmp_path / name).touch()
    assert visible_gpus() == gpus
