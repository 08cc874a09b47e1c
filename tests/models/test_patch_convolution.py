"""A convolution made of patches is `nn.Conv2d`: forwards, in every gradient, in single precision and in bfloat16."""

import pytest
import torch
from torch import nn

from stn_bench.models.classifiers import ConvolutionStage
from stn_bench.models.patch_convolution import convolve

FILTERS, KERNEL = 6, 5
SIZES = pytest.mark.parametrize("size", [(1, 28, 28), (4, 20, 28), (3, 5, 5), (2, 5, 11)], ids=str)


class PatchConvolution(nn.Conv2d):
    """`convolve` with a bias, to be compared with `nn.Conv2d` as a whole."""

    def __init__(self, filters, kernel_size):
        super().__init__(1, filters, kernel_size)

    def forward(self, images):
        features = convolve(images, self.weight)
        return features + self.bias.to(features.dtype)[:, None, None]


def pair():
    """The two convolutions, with the same weights."""
    torch.manual_seed(1)
    ours, plain = PatchConvolution(FILTERS, KERNEL), nn.Conv2d(1, FILTERS, KERNEL)
    plain.load_state_dict(ours.state_dict())  # fails if the parameters have other names or shapes
    return ours, plain


def random_images(batch, height, width):
    return torch.rand(batch, 1, height, width, generator=torch.Generator().manual_seed(2))


def values_and_gradients(convolution, images):
    """The features, and the gradients of a loss that tells all of them apart, in float32."""
    images = images.detach().clone().requires_grad_()
    features = convolution(images)
    weights = torch.rand(features.shape, generator=torch.Generator().manual_seed(3)).to(features.dtype)
    (features * weights).sum().backward()
    found = {"features": features.detach(), "images": images.grad}
    found |= {name: parameter.grad for name, parameter in convolution.named_parameters()}
    return {name: value.float() for name, value in found.items()}


@SIZES
def test_it_equals_the_plain_convolution(size):
    ours, plain = (values_and_gradients(convolution, random_images(*size)) for convolution in pair())
    assert ours.keys() == plain.keys() == {"features", "images", "weight", "bias"}
    for name in plain:
        torch.testing.assert_close(
            ours[name], plain[name], rtol=1e-5, atol=1e-4, msg=lambda text, at=name: f"{at}: {text}"
        )


@SIZES
def test_it_equals_the_plain_convolution_where_images_need_no_gradient(size):
    ours, plain = pair()
    for convolution in (ours, plain):
        convolution(random_images(*size)).square().sum().backward()
    torch.testing.assert_close(ours(random_images(*size)), plain(random_images(*size)), rtol=0, atol=1e-5)
    torch.testing.assert_close(ours.weight.grad, plain.weight.grad, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(ours.bias.grad, plain.bias.grad, rtol=1e-5, atol=1e-4)


@SIZES
def test_under_autocast_it_equals_the_plain_convolution_to_bfloat16_rounding(size):
    ours, plain = pair()
    with torch.no_grad():  # numbers that bfloat16 holds, so that all that is left is the rounding of the results
        for parameter in (*ours.parameters(), *plain.parameters()):
            parameter.copy_(parameter.bfloat16())
    images = random_images(*size).bfloat16().float()
    exact = values_and_gradients(plain, images)
    plain.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ours(images).dtype == plain(images).dtype == torch.bfloat16
        found = values_and_gradients(ours, images)
        library = values_and_gradients(plain, images)
    for name in exact:
        # bfloat16 keeps 8 bits; the images' gradient is a sum of numbers that are each rounded
        allowed = 2**-7 * float(exact[name].abs().max())
        torch.testing.assert_close(found[name], exact[name], rtol=0, atol=allowed)
        torch.testing.assert_close(library[name], exact[name], rtol=0, atol=allowed)  # so that the bound is a fair one


def test_bfloat16_gradients_of_images_are_summed_in_float32():
    torch.manual_seed(1)
    ours = PatchConvolution(1, 9).bfloat16()
    nn.init.uniform_(ours.weight)
    images = torch.ones(1, 1, 28, 28, dtype=torch.bfloat16).requires_grad_()
    ours(images).sum().backward()
    # with one filter there is nothing to round but the sum over the patches that have a pixel
    exact = nn.functional.conv_transpose2d(torch.ones(1, 1, 20, 20).double(), ours.weight.detach().double())
    assert torch.equal(images.grad, exact.bfloat16())


def test_images_may_be_a_view_of_others():
    ours, plain = pair()
    wide = random_images(6, 28, 40).requires_grad_()
    for view in (wide[1::2, :, :, 3:23], wide.transpose(2, 3), wide[:1].expand(4, -1, -1, -1), wide[3:]):
        torch.testing.assert_close(ours(view), plain(view), rtol=0, atol=1e-5)


def test_the_gradient_passes_through_to_what_made_the_images():
    found = []
    for convolution in pair():
        shift = torch.tensor(0.3, requires_grad=True)
        convolution((random_images(4, 20, 28) + shift).square()).square().sum().backward()
        found.append(shift.grad)
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=0)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(28, 28), (21, 20), (13, 30)], ids=str)
def test_a_stage_equals_convolution_relu_and_pooling_in_every_gradient(channels, size):
    torch.manual_seed(1)
    ours = ConvolutionStage(channels, FILTERS, KERNEL)
    plain = nn.Sequential(nn.Conv2d(channels, FILTERS, KERNEL), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True))
    plain[0].load_state_dict(ours.state_dict())
    images = torch.rand(3, channels, *size)
    found, expected = values_and_gradients(ours, images), values_and_gradients(plain, images)
    for name in ("features", "images", "weight", "bias"):
        other = name if name in expected else f"0.{name}"
        torch.testing.assert_close(found[name], expected[other], rtol=1e-5, atol=1e-4)
