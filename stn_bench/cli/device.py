"""The device of a run and its threads: what a config asks for, and what this machine has."""

import logging
import os
import platform

import torch

from hydra_plugins.stn_local_launcher._slots import usable_cores
from stn_bench.cli.build import ConfigError

log = logging.getLogger(__name__)


def choose_device(name: str) -> torch.device:
    """The device that `device=auto|cpu|cuda|cuda:N` means; where torch cannot compute on the GPU, auto means the CPU.

    Raises ConfigError for one that is not there, or that torch cannot compute on.
    """
    if name == "auto":
        fastest = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if why := _refusal(fastest):
            log.warning("torch %s cannot compute on the GPU here (%s): the CPU is taken", torch.__version__, why)
            return torch.device("cpu")
        return fastest
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device={name} is not known: use auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device={name}, but torch {torch.__version__} sees no GPU here: use device=cpu or auto")
    if device.type == "cuda" and (device.index or 0) >= (count := torch.cuda.device_count()):
        raise ConfigError(f"device={name}, but GPUs here are cuda:0 to cuda:{count - 1}")
    if why := _refusal(device):
        raise ConfigError(
            f"device={name}, but torch {torch.__version__} cannot compute on it ({why}): use device=cpu, or install a "
            "torch that is built for this GPU"
        )
    return device


def _refusal(device: torch.device) -> str | None:
    """Why torch cannot compute on a device, if it has no kernels for this GPU; None if it can."""
    try:
        torch.zeros(1, device=device).add(1).item()  # which waits for it
    except RuntimeError as error:
        if "no kernel image" not in str(error):  # full, busy or broken: nothing that another torch would mend
            raise
        return str(error).partition("\n")[0]
    return None


def describe(device: torch.device) -> str:
    """A device in words: a GPU's name, or threads, architecture and the instructions that torch found."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    kind = f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"
    return f"CPU, {threads} thread{'s' if threads > 1 else ''} ({kind})"


def limit_threads() -> None:
    """Have no more threads than cores: torch knows nothing of the share of them that a container may use."""
    if "OMP_NUM_THREADS" not in os.environ and usable_cores() < torch.get_num_threads():
        torch.set_num_threads(usable_cores())
