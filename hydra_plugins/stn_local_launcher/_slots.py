"""How many jobs run at once, and what each finds in its environment: its GPU, and its share of the cores."""

import os
import re
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path

from stn_bench.errors import UserError

Slot = dict[str, str]

DEVICES = Path("/dev")
CGROUPS = Path("/sys/fs/cgroup")
QUOTAS = (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))
"""The files in which version 2 and version 1 of control groups keep a container's time and the period that it is of."""


class SlotError(UserError, ValueError):
    """Raised for a number of jobs that cannot be."""


def slots(device: str, jobs: int | None, per_gpu: int, count: int) -> list[Slot]:
    """The environment variables of each of the places in which `count` jobs take turns.

    The places times their threads are the usable cores: two teams of OpenMP threads on the same cores wait for each
    other, and each job takes many times as long. Raises SlotError.
    """
    for name, value in (("jobs", jobs), ("per_gpu", per_gpu)):
        if value is not None and not (isinstance(value, int) and value >= 1):
            raise SlotError(f"hydra.launcher.{name}={value}: give 1 or more")
    cores = usable_cores()
    places: list[Slot]
    if device in ("auto", "cuda") and torch_knows_gpus() and (gpus := visible_gpus()):
        places = [{"CUDA_VISIBLE_DEVICES": gpu} for _ in range(per_gpu) for gpu in gpus]
    elif device.startswith("cuda"):  # one GPU by its number, which must go on meaning that one
        places = [{}] * per_gpu
    else:
        places = [{}] * cores
    at_once = min(len(places) if jobs is None else jobs, count)
    threads = str(min(max(1, cores // at_once), _threads_wanted()))
    share = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    return [places[place % len(places)] | share for place in range(at_once)]


def usable_cores() -> int:
    """The cores that this process may use, of which there may be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):  # on Linux
        return min(len(os.sched_getaffinity(0)), *(_quota(*files) for files in QUOTAS))
    return os.cpu_count() or 1


def _quota(*files: str) -> int:
    """How many cores' time a container may take, rounded up: `docker run --cpus` hides none of them."""
    try:
        allowed, period = (int(word) for file in files for word in (CGROUPS / file).read_text().split())
    except (OSError, ValueError):  # no such files, or "max": no limit
        return sys.maxsize
    return -(-allowed // period) if allowed > 0 else sys.maxsize  # -1: no limit


def torch_knows_gpus() -> bool:
    """Whether the torch that is installed was built for GPUs; it says so in a file, and takes seconds to import."""
    with suppress(OSError):
        if (torch := find_spec("torch")) and torch.origin:
            said = Path(torch.origin).with_name("version.py").read_text(encoding="utf-8")
            return re.search(r"^(cuda|hip)\b.*= *['\"]", said, re.MULTILINE) is not None
    return True


def visible_gpus() -> list[str]:
    """What CUDA_VISIBLE_DEVICES may be set to, one by one. Asks the driver, since asking CUDA would take torch.

    Containers may have GPUs without the driver's program: there the device files are counted.
    """
    if (given := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        names = [name.strip() for name in given.split(",")]
        return list(takewhile(re.compile(r"\d+|(GPU|MIG)-.+").fullmatch, names))  # as CUDA reads it
    try:
        said = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30, check=True).stdout
    except OSError:
        return [str(number) for number in range(len(list(DEVICES.glob("nvidia[0-9]*"))))]
    except subprocess.SubprocessError:  # the driver does not work
        return []
    names = re.findall(r"UUID: ([\w-]+)", said)
    following = [*names[1:], ""]
    return [name for name, after in zip(names, following, strict=True) if not _is_split(name, after)]


def _is_split(name: str, after: str) -> bool:
    """Whether a GPU is offered in parts (MIG), which are listed after it and used in its place."""
    return name.startswith("GPU-") and after.startswith("MIG-")


def _threads_wanted() -> int:
    """The most threads that the user's own OMP_NUM_THREADS allows a process."""
    given = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(given) if given.isdigit() and int(given) > 0 else 2**31 - 1
