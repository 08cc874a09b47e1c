"""A network with a transformer is one graph to torch's compilers, with the results of the network itself."""

import pytest
import torch
from torch import fx, nn

from stn_bench import transforms
from stn_bench.models import CNN, FCN, ConvolutionalLocaliser, FullyConnectedLocaliser, TransformedClassifier
from stn_bench.spatial_transformer import SpatialTransformer
from stn_bench.transforms import Transform

NAMED = map(transforms.__dict__.get, transforms.__all__)
FAMILIES = [kind for kind in NAMED if issubclass(kind, Transform) and kind is not Transform]
EXPORTS = pytest.mark.skipif(torch.__version__ < "2.8", reason="torch exports no batch of any size before 2.8")


def make_network(family, classifier=CNN):
    torch.manual_seed(1)
    localiser = {CNN: ConvolutionalLocaliser, FCN: FullyConnectedLocaliser}[classifier]
    network = TransformedClassifier((1, 28, 28), 10, localiser, family(), classifier, parameters_budget=30_000)
    nn.init.normal_(network.transformer.regression.weight, std=0.1)
    return network


def images(count):
    return torch.rand(count, 1, 28, 28, generator=torch.Generator().manual_seed(count))


@EXPORTS
@pytest.mark.parametrize("run_before", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_exported_takes_any_number_of_images_and_is_the_network(family, run_before):
    network = make_network(family).eval()
    if run_before:
        network(images(3))
    exported = torch.export.export(network, (images(2),), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.testing.assert_close(exported.module()(images(5)), network(images(5)), rtol=0, atol=1e-5)


@EXPORTS
@pytest.mark.parametrize("run_before", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_transformer_is_exported_for_images_of_any_size(family, run_before):
    localiser = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten())
    transformer = SpatialTransformer(localiser, 16, family())
    nn.init.normal_(transformer.regression.weight, std=0.1)
    if run_before:
        transformer(images(2))
    sides = {2: torch.export.Dim("height", min=2), 3: torch.export.Dim("width", min=2)}
    exported = torch.export.export(transformer, (images(2),), dynamic_shapes=(sides,), strict=False).module()
    other = torch.rand(2, 1, 31, 17)
    torch.testing.assert_close(exported(other), transformer(other), rtol=0, atol=1e-5)


def test_a_spline_that_was_run_before_is_exported_without_its_solve():
    def operations(network):
        graphs = torch.export.export(network, (images(2),)).graph_module.modules()
        return {str(node.target) for part in graphs if isinstance(part, fx.GraphModule) for node in part.graph.nodes}

    network = make_network(transforms.ThinPlateSpline).eval()
    assert any("linalg" in name for name in operations(network))
    network(images(1))
    assert not any("linalg" in name for name in operations(network))


@pytest.mark.parametrize("classifier", [CNN, FCN])
@pytest.mark.parametrize("family", [transforms.Affine, transforms.Projective, transforms.ThinPlateSpline])
def test_a_network_is_compiled_as_one_graph_with_its_gradients(family, classifier):
    network = make_network(family, classifier)
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    found = torch.autograd.grad(compiled(images(4)).square().sum(), list(network.parameters()))
    expected = torch.autograd.grad(network(images(4)).square().sum(), list(network.parameters()))
    for one, other in zip(found, expected, strict=True):
        scale = other.abs().max().item()
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4 * scale)
    torch._dynamo.reset()


def test_points_behind_the_horizon_are_out_of_sight_of_a_compiled_warp_too():
    family, points = transforms.Projective(), torch.rand(6, 5, 2) * 2 - 1
    theta = torch.tensor([[1.0, 0, 0, 0, 1, 0, 2, 0], [1, 0, 0, 0, 1, 0, 0, -3]], requires_grad=True)
    compiled = torch.compile(family, backend="aot_eager", fullgraph=True)
    found, expected = compiled(theta, points), family(theta, points)
    assert (expected.abs() > 100).any()
    torch.testing.assert_close(found, expected)
    weights = torch.rand_like(expected)
    pairs = [torch.autograd.grad((result * weights).sum(), theta)[0] for result in (found, expected)]
    torch.testing.assert_close(*pairs)
    torch._dynamo.reset()
