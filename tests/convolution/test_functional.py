"""Convolution and pooling are the library's: forwards, in every gradient, in every precision, in every shape."""

import re
from functools import partial

import plain
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional

from stn_bench.convolution import (
    average_pool,
    convolve,
    convolve_relu,
    convolve_relu_pool,
    fourier,
    frequency_domain,
    max_pool,
    patches,
)
from stn_bench.models import CNN, ConvolutionalLocaliser, TransformedClassifier
from stn_bench.transforms import Affine

# images (B, C, H, W), filters, kernel: each way of convolving, on even, odd, small and oblong images
WAYS = {
    "patches, ceil": [(1, 1, 28, 28, 6, 5), (4, 1, 20, 28, 6, 9), (3, 1, 21, 21, 2, 9), (2, 1, 5, 11, 6, 5)],
    "patches, floor": [(1, 1, 28, 28, 6, 5), (4, 1, 21, 28, 6, 9), (2, 1, 6, 11, 6, 5)],
    "matrix": [(3, 1, 5, 5, 6, 5), (4, 7, 7, 7, 5, 7), (2, 20, 5, 5, 20, 5)],
    "frequencies": [(3, 60, 10, 10, 64, 7), (2, 70, 11, 14, 50, 7), (3, 64, 17, 17, 48, 7), (2, 20, 8, 8, 20, 5)],
    "library": [(2, 3, 28, 28, 6, 5), (2, 20, 18, 18, 20, 2), (2, 4, 9, 9, 4, 3)],
}
SHAPES = [(way, shape) for way, shapes in WAYS.items() for shape in shapes]
EACH_WAY = pytest.mark.parametrize(("way", "shape"), SHAPES, ids=lambda value: str(value).replace(" ", ""))
POOLED = pytest.mark.parametrize("size", [(20, 20), (13, 13), (17, 17), (4, 7), (5, 2), (2, 2)], ids=str)


def tensors(shape, dtype=torch.float64):
    """Images, weights and biases of a shape, the same ones at each call."""
    batch, channels, height, width, filters, kernel = shape
    generator = torch.Generator().manual_seed(2)
    images = torch.rand(batch, channels, height, width, generator=generator, dtype=torch.float64)
    weight = torch.randn(filters, channels, kernel, kernel, generator=generator, dtype=torch.float64)
    bias = torch.randn(filters, generator=generator, dtype=torch.float64)
    return images.to(dtype), (weight / channels**0.5 / kernel).to(dtype), bias.to(dtype)


def ours(way):
    """The layer that convolves this way."""
    return partial(convolve_relu_pool, ceil_mode="ceil" in way) if "patches" in way else convolve_relu


def library(way):
    """The plain equivalent."""
    return partial(relu_and_pool, ceil_mode="ceil" in way) if "patches" in way else relu


def relu(images, weight, bias):
    return functional.conv2d(images, weight, bias).relu()


def relu_and_pool(images, weight, bias, ceil_mode=False):
    return functional.max_pool2d(relu(images, weight, bias), 2, ceil_mode=ceil_mode)


def with_gradients(compute, *inputs):
    """What `compute` makes of the inputs, and the gradients of a loss that tells all its numbers apart."""
    inputs = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    result = compute(*inputs)
    weights = torch.randn(result.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    (result * weights.to(result.dtype)).sum().backward()
    return [result.detach(), *(tensor.grad for tensor in inputs)]


def taken(shape, dtype):
    """The way that a convolution of these shapes takes."""
    _, channels, height, width, filters, kernel = shape
    if (height, width) == (kernel, kernel):
        return "matrix"
    return "frequencies" if frequency_domain.pays_off((height, width), kernel, filters, channels, dtype) else "library"


@EACH_WAY
def test_every_way_of_convolving_is_tested(way, shape, monkeypatch):
    called = []

    def watch(module, name, word):
        original = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *arguments: called.append(word) or original(*arguments))

    watch(patches, "convolve_relu_pool", "patches")
    watch(frequency_domain, "convolve", "frequencies")
    watch(functional, "conv2d", "library")
    ours(way)(*tensors(shape))
    assert (called or ["matrix"]) == [way.split(",")[0]]


@EACH_WAY
def test_convolution_is_the_library_s_in_double_precision(way, shape):
    found, expected = (with_gradients(compute(way), *tensors(shape)) for compute in (ours, library))
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("shape", WAYS["patches, ceil"], ids=str)
def test_all_rows_of_patches_at_once_as_on_a_gpu_are_the_library_s_too(shape, monkeypatch):
    monkeypatch.setattr(patches, "_is_gpu", lambda tensor: True)
    found, expected = (with_gradients(compute("patches, ceil"), *tensors(shape)) for compute in (ours, library))
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("at_once", [1, 2, 3])
@pytest.mark.parametrize("shape", WAYS["patches, ceil"], ids=str)
def test_some_rows_of_patches_at_a_time_as_large_images_have_them_are_the_library_s_too(shape, at_once, monkeypatch):
    pooled = library("patches, ceil")(*tensors(shape))
    monkeypatch.setattr(patches, "BLOCK", 4 * at_once * pooled[:, :, 0].nbytes)
    found, expected = (with_gradients(compute("patches, ceil"), *tensors(shape)) for compute in (ours, library))
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-11)


@EACH_WAY
def test_convolution_is_the_library_s_to_rounding_in_single_precision(way, shape):
    exact = with_gradients(library(way), *tensors(shape))
    for found, expected in zip(with_gradients(ours(way), *tensors(shape, torch.float32)), exact, strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=4e-6 * float(expected.abs().max()))


@EACH_WAY
def test_under_autocast_convolution_errs_by_rounding_to_bfloat16_as_the_library_does(way, shape):
    images, weight, bias = (tensor.bfloat16().float() for tensor in tensors(shape))  # so that the inputs are exact
    given = images, weight, 4 * bias.sign()  # so that rounding takes no number across 0
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ours(way)(*given).dtype == torch.bfloat16
        found, theirs = (with_gradients(compute(way), *given) for compute in (ours, library))
    exact = with_gradients(library(way), *(tensor.double() for tensor in given))
    for mine, rounded, expected in zip(found, theirs, exact, strict=True):
        scale = expected.square().mean().sqrt()
        errors = [float((result - expected).square().mean().sqrt() / scale) for result in (mine, rounded)]
        # 8 bits; a transform there and one back round twice more than the library does
        assert errors[0] <= 0.012 or errors[0] <= 1.1 * errors[1], errors


@pytest.mark.parametrize("way", WAYS)
def test_only_the_gradients_that_are_asked_for_are_made(way):
    given = tensors(WAYS[way][0])
    expected = with_gradients(ours(way), *given)[1:]
    for asked in range(len(given)):
        inputs = [tensor.clone() for tensor in given]
        inputs[asked].requires_grad_()
        result = ours(way)(*inputs)
        weights = torch.randn(result.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        (result * weights).sum().backward()
        torch.testing.assert_close(inputs[asked].grad, expected[asked], rtol=1e-12, atol=1e-12)
        assert all(tensor.grad is None for place, tensor in enumerate(inputs) if place != asked)


def test_bfloat16_gradients_of_images_are_summed_over_patches_in_float32():
    images = torch.ones(1, 1, 28, 28, dtype=torch.bfloat16).requires_grad_()
    weight = torch.rand(1, 1, 9, 9, generator=torch.Generator().manual_seed(1)).bfloat16()
    convolve_relu_pool(images, weight, torch.zeros(1).bfloat16()).sum().backward()
    # all outputs are equal, so that the first of each window has the gradient: each patch's share is one weight, and
    # there is nothing to round but the sum over the patches that have a pixel
    firsts = torch.zeros(1, 1, 20, 20).double()
    firsts[:, :, ::2, ::2] = 1
    assert torch.equal(images.grad, functional.conv_transpose2d(firsts, weight.double()).bfloat16())


@EACH_WAY
def test_images_may_be_a_view_of_others(way, shape):
    images, *parameters = tensors(shape)
    expected = library(way)(images, *parameters)
    wide = functional.pad(images, (2, 3, 1, 0)).repeat_interleave(2, dim=0)
    for view in (wide[1::2, :, 1:, 2:-3], images.mT.contiguous().mT, images.to(memory_format=torch.channels_last)):
        assert torch.equal(view, images)
        torch.testing.assert_close(ours(way)(view, *parameters), expected, rtol=1e-11, atol=1e-11)
    one = images[:1].expand(len(images), -1, -1, -1)
    torch.testing.assert_close(ours(way)(one, *parameters), library(way)(one, *parameters), rtol=1e-11, atol=1e-11)


@EACH_WAY
def test_a_convolution_first_made_in_inference_serves_training_next(way, shape):
    fourier._fourier.cache_clear()
    with torch.inference_mode():
        ours(way)(*tensors(shape))
    assert all(gradient.isfinite().all() for gradient in with_gradients(ours(way), *tensors(shape)))


def test_kernels_that_are_not_square_are_the_library_s():
    given = torch.rand(2, 1, 9, 9), torch.rand(3, 1, 3, 5), torch.zeros(3)
    assert torch.equal(convolve_relu(*given), relu(*given))
    assert torch.equal(convolve_relu_pool(*given), relu_and_pool(*given))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_second_convolutions_of_the_paper_s_networks_pay_in_the_frequency_domain(dtype):
    assert taken((256, 20, 8, 8, 20, 5), dtype) == "frequencies"  # of the localiser, 42 x 42
    assert taken((256, 89, 10, 10, 89, 7), dtype) == "frequencies"  # 28 x 28
    assert taken((256, 85, 17, 17, 85, 7), dtype) == "frequencies"  # 42 x 42
    assert taken((256, 87, 7, 7, 87, 7), dtype) == "matrix"  # 21 x 21


@pytest.mark.parametrize("size", [(20, 17, 17, 20, 5), (32, 28, 28, 32, 5)], ids=str)
def test_large_images_pay_where_their_transform_is_separable(size):
    assert taken((64, *size), torch.float32) == "frequencies"
    assert taken((64, *size), torch.bfloat16) == "library"


@pytest.mark.parametrize("kind", [fourier.Separable, fourier.Whole])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (6, 8), (7, 5), (17, 17)], ids=str)
def test_transforms_are_the_fast_fourier_transform_and_its_inverse(kind, size):
    images = torch.rand(*size, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    spectrum = kind(size, size, torch.float64).spectrum(images.flatten(0, 1))
    expected = torch.fft.fft2(images, dim=(0, 1)).flatten(0, 1)
    found = torch.view_as_complex(spectrum.view(-1, 2, 3).mT.contiguous())
    away = (found[:, None] - expected).abs().amax(-1)
    assert away.amin(1).max() < 1e-12  # each is a frequency of the image, and
    assert len(away.argmin(1).unique()) == len(found) == fourier.frequency_count(size)
    part = ((size[0] + 1) // 2, size[1] // 2 + 1)
    corner = images[: part[0], : part[1]].flatten(0, 1)
    torch.testing.assert_close(kind(size, part, torch.float64, inverse=True).transposed(spectrum), corner)
    rest = images.clone()
    rest[part[0] :] = 0
    rest[:, part[1] :] = 0
    torch.testing.assert_close(
        kind(size, part, torch.float64).spectrum(corner),
        kind(size, size, torch.float64).spectrum(rest.flatten(0, 1)),
    )


@pytest.mark.parametrize("shape", WAYS["frequencies"], ids=str)
def test_a_transform_in_one_product_serves_a_convolution_as_well(shape, monkeypatch):
    monkeypatch.setattr(fourier, "kind", lambda dtype: fourier.Whole)
    fourier._fourier.cache_clear()
    found, expected = (with_gradients(compute, *tensors(shape)[:2]) for compute in (convolve, functional.conv2d))
    fourier._fourier.cache_clear()
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-11)


# Pooling


@POOLED
@pytest.mark.parametrize("ceil_mode", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_pooling_is_the_library_s_to_the_bit_even_where_pixels_are_equal(size, ceil_mode, dtype, levels):
    generator = torch.Generator().manual_seed(1)
    images = (torch.randint(-levels, levels, (3, 4, *size), generator=generator) / 8).to(dtype)

    def ours(images):
        return max_pool(images.permute(2, 3, 1, 0).contiguous().permute(3, 2, 0, 1), ceil_mode)

    def library(images):
        return functional.max_pool2d(images, 2, ceil_mode=ceil_mode)

    for found, expected in zip(with_gradients(ours, images), with_gradients(library, images), strict=True):
        assert torch.equal(found, expected)


def test_pooling_tells_the_smallest_differences_apart():
    tiny = torch.finfo(torch.bfloat16).smallest_normal
    close = torch.tensor([tiny, tiny * 1.0078125, -tiny, 0.0], dtype=torch.bfloat16)
    for order in ([0, 1, 2, 3], [1, 0, 3, 2], [3, 2, 1, 0], [2, 3, 0, 1]):
        windows = close[order].view(2, 2, 1, 1).requires_grad_()  # (H, W, C, B)
        max_pool(windows.permute(3, 2, 0, 1)).sum().backward()
        assert windows.grad.flatten().argmax() == order.index(1)
        assert windows.grad.sum() == 1


def test_images_that_lie_otherwise_in_memory_are_pooled_by_the_library():
    images = torch.rand(2, 3, 6, 6)
    assert torch.equal(max_pool(images), functional.max_pool2d(images, 2))


@POOLED
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_average_pooling_is_the_library_s_to_rounding(size, dtype):
    images = torch.rand(3, 2, *size, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)

    def library(images):
        return functional.avg_pool2d(images, 2)

    tolerance = 4 * torch.finfo(dtype).eps
    for found, expected in zip(with_gradients(average_pool, images), with_gradients(library, images), strict=True):
        assert found.dtype == dtype
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


# Whole networks, against their plain equivalent


@pytest.mark.parametrize("side", [28, 42])
@pytest.mark.parametrize("transformed", [False, True])
def test_networks_are_their_plain_equivalents_in_every_gradient(side, transformed):
    def build():
        torch.manual_seed(1)
        if not transformed:
            return CNN((1, side, side), 10, filters=40).double()
        network = TransformedClassifier(
            (1, side, side), 10, ConvolutionalLocaliser, Affine(), CNN, parameters_budget=10**5
        )
        nn.init.normal_(network.transformer.regression.weight, std=0.1)
        return network.double()

    images = torch.rand(4, 1, side, side, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = []
    for network in (build(), plain.network(build())):
        seen = images.clone().requires_grad_()
        loss = functional.cross_entropy(network(seen), torch.arange(4))
        loss.backward()
        gradients = {name.replace(".0.", "."): parameter.grad for name, parameter in network.named_parameters()}
        found.append({"loss": loss.detach(), "images": seen.grad, **gradients})
    assert found[0].keys() == found[1].keys()
    for name, ours in found[0].items():
        torch.testing.assert_close(
            ours, found[1][name], rtol=1e-8, atol=1e-10, msg=lambda text, at=name: f"{at}: {text}"
        )


@EACH_WAY
def test_an_empty_batch_gives_an_empty_batch_and_gradients_of_zero(way, shape):
    images, *parameters = tensors(shape)
    for parameter in parameters:
        parameter.requires_grad_()
    made = ours(way)(images[:0], *parameters)
    assert made.shape == (0, *ours(way)(images, *parameters).shape[1:])
    made.sum().backward()
    assert not any(parameter.grad.any() for parameter in parameters)


@pytest.mark.parametrize("layer", [convolve_relu, convolve_relu_pool])
@pytest.mark.parametrize(("channels", "size"), [(1, 28), (1, 5), (3, 28), (2, 5)])
def test_images_of_other_channels_or_smaller_than_the_kernel_are_refused_as_by_the_library(layer, channels, size):
    weight = torch.rand(6, 3 if channels == 1 and size == 28 else channels + 1 - (size == 5), 9, 9)
    images = torch.rand(2, channels, size, size)
    with pytest.raises(RuntimeError) as by_the_library:
        functional.conv2d(images, weight)
    with pytest.raises(RuntimeError, match=re.escape(str(by_the_library.value))):
        layer(images, weight, torch.zeros(len(weight)))


@pytest.mark.parametrize("shape", WAYS["frequencies"], ids=str)
def test_float16_does_not_overflow_where_the_library_does_not(shape):
    images, weight, _ = tensors(shape, torch.float16)
    images = torch.full_like(images, 230.0)
    torch.testing.assert_close(convolve(images, weight), functional.conv2d(images, weight), rtol=0.02, atol=2)


@EACH_WAY
def test_gradients_can_be_taken_under_autocast_of_what_was_computed_without_it(way, shape):
    def within(*given):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            with torch.autocast("cpu", enabled=False):
                result = ours(way)(*given)
            result.backward(torch.ones_like(result), retain_graph=True)
        return result

    found, expected = ([tensor.requires_grad_() for tensor in tensors(shape, torch.float32)] for _ in range(2))
    within(*found)
    result = ours(way)(*expected)
    result.backward(torch.ones_like(result))
    # the library's matrix products are cast where `backward` is called, its convolutions are not
    tolerance = 0.03 if way in ("matrix", "frequencies") else 1e-6
    for one, other in zip(found, expected, strict=True):
        largest = other.grad.abs().max().item()
        torch.testing.assert_close(one.grad, other.grad, rtol=tolerance, atol=tolerance * largest)


@EACH_WAY
def test_autocast_leaves_doubles_alone_as_the_library_does(way, shape):
    given = tensors(shape)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(ours(way)(*given), library(way)(*given), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("way", ["frequencies", "patches, ceil"])
def test_a_pass_of_fake_tensors_leaves_nothing_behind(way):
    shape = WAYS[way][0]
    fourier._fourier.cache_clear()
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        ours(way)(*map(mode.from_tensor, tensors(shape)))
    made = ours(way)(*tensors(shape))
    torch.testing.assert_close(made, library(way)(*tensors(shape)), rtol=1e-11, atol=1e-11)


def test_integers_are_refused_as_by_the_library():
    with pytest.raises(RuntimeError, match=r"type|implemented"):
        convolve(torch.ones(2, 60, 10, 10, dtype=torch.uint8), torch.rand(64, 60, 7, 7))


@pytest.mark.parametrize("size", [(1, 4), (4, 1), (1, 1)], ids=str)
@pytest.mark.parametrize(
    "pool", [max_pool, average_pool, partial(convolve_relu_pool, weight=torch.rand(40, 1, 1, 1), bias=torch.zeros(40))]
)
def test_what_has_no_pixel_after_pooling_is_refused_as_by_the_library(size, pool):
    with pytest.raises(RuntimeError, match="Output size is too small"):
        pool(torch.rand(2, 1, *size))


def test_average_pooling_of_float16_does_not_overflow():
    assert average_pool(torch.full((1, 1, 4, 4), 20_000.0).half()).eq(20_000).all()
