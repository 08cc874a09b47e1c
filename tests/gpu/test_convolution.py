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
EACH = pytest.mark.parametrize(("shape", "pooled"), CASES, ids=str)  # what is one pixel is not pooled


def library(images, weight, bias, pooled):
    features = functional.conv2d(images, weight, bias).relu()
    return functional.max_pool2d(features, 2, ceil_mode=True) if pooled else features


def with_gradients(compute, *given):
    inputs = [each.detach().clone().requires_grad_() for each in given]
    result = compute(*inputs)
    torch.manual_seed(4)
    (result * torch.randn(result.shape, dtype=torch.float64).to(result)).sum().backward()
    return [result.detach(), *(each.grad for each in inputs)]


def tensors(shape):
    """Images, weights and biases of a shape in float64, the same ones at each call."""
    batch, channels, height, width, filters, kernel = shape
    torch.manual_seed(3)
    images = torch.rand(batch, channels, height, width, dtype=torch.float64, device="cuda")
    weight = torch.randn(filters, channels, kernel, kernel, dtype=torch.float64, device="cuda") / kernel
    bias = torch.randn(filters, dtype=torch.float64, device="cuda")
    return images, weight, bias


def ours(pooled):
    return partial(convolve_relu_pool, ceil_mode=True) if pooled else convolve_relu


@pytest.fixture(autouse=True)
def exact():
    compute_exactly()


@EACH
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_convolution_is_the_library_s(shape, pooled, dtype):
    expected = with_gradients(partial(library, pooled=pooled), *tensors(shape))
    precise = 1e-11 if dtype == torch.float64 else 1e-5
    given = (each.to(dtype) for each in tensors(shape))
    for found, wanted in zip(with_gradients(ours(pooled), *given), expected, strict=True):
        assert found.dtype == dtype
        torch.testing.assert_close(found.double(), wanted, rtol=0, atol=precise * float(wanted.abs().max()))


@EACH
def test_under_autocast_convolution_errs_by_rounding_to_bfloat16_as_the_library_does(shape, pooled):
    images, weight, bias = tensors(shape)
    bias[::2], bias[1::2] = 4, -4  # so that rounding takes no number across 0
    given = [each.bfloat16().float() for each in (images, weight / weight.shape[1] ** 0.5, bias)]  # exact in bfloat16
    plain = partial(library, pooled=pooled)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        assert ours(pooled)(*given).dtype == torch.bfloat16
        found, theirs = (with_gradients(compute, *given) for compute in (ours(pooled), plain))
    expected = with_gradients(plain, *(each.double() for each in given))
    for mine, rounded, wanted in zip(found, theirs, expected, strict=True):
        scale = wanted.square().mean().sqrt()
        errors = [float((result - wanted).square().mean().sqrt() / scale) for result in (mine, rounded)]
        assert errors[0] <= max(0.02, 2 * errors[1]), errors  # a maximum may become another's
