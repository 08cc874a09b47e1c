"""What the C library is told about freed memory."""

import platform
from types import SimpleNamespace

import pytest

from stn_bench.training import allocator

GLIBC = platform.libc_ver()[0] == "glibc"


@pytest.fixture
def asked(monkeypatch):
    """What mallopt of a stand-in for the C library is asked for."""
    calls = []
    library = SimpleNamespace(mallopt=lambda *arguments: calls.append(arguments) or 1)
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: library)
    monkeypatch.setattr(allocator.sys, "platform", "linux")
    return calls


@pytest.mark.skipif(not GLIBC, reason="mallopt is glibc's")
def test_glibc_agrees():
    assert allocator.keep_freed_memory() is True


def test_neither_mapping_nor_trimming_starts_below_2_gigabytes(asked):
    assert allocator.keep_freed_memory() is True
    m_mmap_threshold, m_trim_threshold = -3, -1  # malloc.h
    assert dict(asked) == {m_mmap_threshold: 2**31 - 1, m_trim_threshold: 2**31 - 1}


def test_another_system_is_left_alone(asked, monkeypatch):
    monkeypatch.setattr(allocator.sys, "platform", "darwin")
    assert allocator.keep_freed_memory() is False
    assert asked == []


def test_a_c_library_without_mallopt_is_left_alone(monkeypatch, asked):
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: SimpleNamespace())
    assert allocator.keep_freed_memory() is False
