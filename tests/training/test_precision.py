"""bfloat16 is taken where it is fast, and what it is taken for agrees with float32."""

import platform
import re
from pathlib import Path

import pytest
import torch

from stn_bench.training import precision
from stn_bench.training.precision import autocast, multiplies_bfloat16, resolved

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def capable(monkeypatch):
    """A function that gives the processor these capabilities."""

    def has(**capabilities):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)  # not in torch 2.6

    return has


@pytest.mark.parametrize("instructions", ["avx512_bf16", "amx_bf16", "bf16", "sve_bf16"])
def test_auto_is_bf16_on_a_processor_that_multiplies_it(capable, instructions):
    capable(architecture="any", **{instructions: True})
    assert resolved("auto", CPU) == "bf16"


@pytest.mark.parametrize("others", [{"avx2": True, "avx512_f": True, "avx512_bf16": False}, {"neon": True}])
def test_auto_is_fp32_on_one_that_would_emulate_it(capable, others):
    capable(architecture="any", **others)
    assert resolved("auto", CPU) == "fp32"


def test_auto_is_fp32_where_torch_lacks_the_library_that_uses_them(capable, monkeypatch):
    capable(bf16=True)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert resolved("auto", CPU) == "fp32"


@pytest.mark.parametrize("native", [True, False])
def test_an_older_torch_is_asked_in_its_own_way(monkeypatch, native):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    assert resolved("auto", CPU) == ("bf16" if native else "fp32")


@pytest.mark.parametrize("native", [True, False])
def test_a_gpu_is_asked_without_its_emulation(monkeypatch, native):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation or native)
    assert resolved("auto", GPU) == ("bf16" if native else "fp32")


@pytest.mark.parametrize("asked", ["fp32", "bf16"])
@pytest.mark.parametrize("native", [True, False])
def test_what_is_asked_for_is_what_is_done(capable, asked, native):
    capable(avx512_bf16=native)
    assert resolved(asked, CPU) == asked


@pytest.mark.parametrize("native", [True, False])
def test_the_classifier_runs_in_what_auto_means(capable, native):
    capable(avx512_bf16=native)
    square = torch.ones(2, 2)
    with autocast(CPU, "auto"):
        assert (square @ square).dtype == (torch.bfloat16 if native else torch.float32)


def test_a_processor_is_asked_by_torch_itself():
    """And answers as the kernel does, where that has a file to say so."""
    cpuinfo = Path("/proc/cpuinfo")
    if platform.machine() == "x86_64" and cpuinfo.exists() and torch.backends.mkldnn.is_available():
        flags = set(re.findall(r"^flags\s*:(.*)$", cpuinfo.read_text(), re.MULTILINE)[0].split())
        assert multiplies_bfloat16(CPU) == bool(flags & {"avx512_bf16", "amx_bf16"})
    assert precision.PRECISIONS == ("fp32", "bf16", "auto")
