"""The numbers of an optimiser that change from step to step: on a GPU where a captured step reads them, else plain."""

import torch
from torch.optim import SGD, Optimizer

from stn_bench.training.muon import Muon


def can_be_captured(optimiser: Optimizer) -> bool:
    """Whether a step of an optimiser depends on nothing that changes on the host, once `settle` has been there."""
    if isinstance(optimiser, SGD):  # unless fused, it waits for a learning rate on the device
        return all(group["fused"] for group in optimiser.param_groups)
    return isinstance(optimiser, Muon) or all("capturable" in group for group in optimiser.param_groups)


def settle(optimiser: Optimizer, device: torch.device) -> None:
    """Have learning rates and counts of steps where the device wants them: tensors on a GPU, plain on the CPU."""
    on_gpu = device.type == "cuda" and can_be_captured(optimiser)
    for group in optimiser.param_groups:
        if "capturable" in group:
            group["capturable"] = on_gpu
        for name, plain in {"lr": float, "step": int}.items():
            if name in group and on_gpu:
                group[name] = torch.tensor(float(group[name]), device=device)
            elif isinstance(group.get(name), torch.Tensor):  # of a checkpoint that a GPU wrote
                group[name] = plain(group[name])
    for state in optimiser.state.values() if on_gpu else ():
        if isinstance(state.get("step"), torch.Tensor):  # which torch leaves on the CPU if a CPU wrote the checkpoint
            state["step"] = state["step"].to(device)
