"""Tensors that stand for numbers which are not there, or not yet: a compiler's, a fake mode's, torch.func's."""

import torch
from torch import Tensor, nn
from torch._C._functorch import is_functorch_wrapped_tensor, is_legacy_batchedtensor


def holds_numbers(tensor: Tensor) -> bool:
    """Whether its numbers may be looked at, and it may be kept for later calls.

    Not so while torch.compile traces, for meta and fake tensors, and inside of vmap and other transforms of functions.
    """
    return (
        not torch.compiler.is_compiling()
        and type(tensor) in (Tensor, nn.Parameter)  # those of modes that fake them have types of their own
        and not tensor.is_meta
        and not is_functorch_wrapped_tensor(tensor)
        and not is_legacy_batchedtensor(tensor)  # of torch.autograd's own vmap
    )
