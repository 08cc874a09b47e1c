"""Numbers in float64, on every device."""

from torch import Tensor


def double(tensor: Tensor) -> Tensor:
    """The numbers in float64 where they are, but on the CPU if they are on "mps", which has no float64."""
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()
