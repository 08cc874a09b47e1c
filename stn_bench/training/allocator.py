"""Keeping freed memory in the process, and in large pages, on Linux with glibc.

By default every tensor above 32 MB is mapped afresh and unmapped when freed, and each of its pages costs a fault at
the first touch. A step that allocates the same activations again and again pays that each time.
"""

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
KEEP_BYTES = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell the C library's allocator to reuse freed memory rather than return it. Returns whether it agreed.

    And torch to ask for pages of 2 MB, which it looks up at the first tensor of a process.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, KEEP_BYTES)) and bool(mallopt(M_TRIM_THRESHOLD, KEEP_BYTES))
