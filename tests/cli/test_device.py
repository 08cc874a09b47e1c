"""The device of a run and its threads, as a config asks for them and as a machine has them."""

import re

import pytest
import torch

from stn_bench.cli import device
from stn_bench.cli.build import ConfigError
from stn_bench.cli.device import choose_device, describe, limit_threads
from stn_bench.cli.parts import Parts


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


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("CUDA error: all CUDA-capable devices are busy")],
    ids=["full", "busy"],
)
def test_a_gpu_that_is_full_or_busy_is_no_reason_for_the_cpu(gpus, error):
    gpus(1, error)
    with pytest.raises(type(error)):
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
    monkeypatch.setattr(device, "usable_cores", lambda: cores)
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
