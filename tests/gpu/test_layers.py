"""Convolution and pooling on a GPU are the library's, forwards and in every gradient; needs a GPU: pytest -m gpu."""

from functools import partial

import pytest
import torch
from torch.nn import functional

from stn_bench.convolution import convolve_relu, convolve_relu_pool
from stn_bench.training.precision import compute_exactly

pytestmark = pytest.mark.gpu

# images (B, C, H, W), filters, kernel: each way of convolving
SHAPES = [(4, 1, 28, 28, 6, 9), (3, 1, 21, 21, 2, 9), (3, 1, 5, 11, 6, 5), (2, 20, 5, 5, 20, 5), (3, 60, 10, 10, 64, 7)]
SHAPES += [(2, 64, 17, 17, 48, 7), (2, 3, 28, 28, 6, 5)]
CASES = [(shape, pooled) for shape in SHAPES for pooled in (False, True) if not pooled or shape[3] > shape[5]]


def library(images, weight, bias, pooled):
    features = functional.conv2d(images, weight, bias).relu()
    return functional.max_pool2d(features, 2, ceil_mode=True) if pooled else features


def with_gradients(compute, *given):
    inputs = [each.detach().clone().requires_grad_() for each in given]
    result = compute(*inputs)
    torch.manual_seed(4)
    (result * torch.randn(result.shape, dtype=torch.float64).to(result)).sum().backward()
    return [result.detach(), *(each.grad for each in inputs)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize(("shape", "pooled"), CASES, ids=str)  # what is one pixel is not pooled
def test_convolution_is_the_library_s(shape, pooled, dtype):
    compute_exactly()
    batch, channels, height, width, filters, kernel = shape
    torch.manual_seed(3)
    images = torch.rand(batch, channels, height, width, dtype=torch.float64, device="cuda")
    weight = torch.randn(filters, channels, kernel, kernel, dtype=torch.float64, device="cuda") / kernel
    bias = torch.randn(filters, dtype=torch.float64, device="cuda")
    ours = partial(convolve_relu_pool, ceil_mode=True) if pooled else convolve_relu
    expected = with_gradients(partial(library, pooled=pooled), images, weight, bias)
    precise = 1e-11 if dtype == torch.float64 else 1e-5
    given = (each.to(dtype) for each in (images, weight, bias))
    for found, wanted in zip(with_gradients(ours, *given), expected, strict=True):
        assert found.dtype == dtype
        torch.testing.assert_close(found.double(), wanted, rtol=0, atol=precise * float(wanted.abs().max()))
