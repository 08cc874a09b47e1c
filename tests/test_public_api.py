"""`import stn_bench`: what a user's own code can rely on."""

import ast
import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
import torch
from torch import nn

import stn_bench
from stn_bench import Affine, ConvolutionalLocaliser, SpatialTransformer, Translation

ROOT = Path(__file__).parents[1]


def printed(program):
    """What a Python program of its own prints."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", stn_bench.__all__)
def test_every_public_name_loads_and_explains_itself(name):
    thing = getattr(stn_bench, name)
    assert thing.__name__ == name
    assert len(thing.__doc__.splitlines()[0]) > 20


def test_names_are_listed_for_completion_for_loading_and_for_type_checkers():
    text = (ROOT / "stn_bench/__init__.py").read_text()
    for_checkers = {
        alias.name
        for node in ast.parse(text).body
        if isinstance(node, ast.If)
        for line in node.body
        for alias in line.names
    }
    lazily = [name for names in stn_bench._HOMES.values() for name in names]
    assert set(dir(stn_bench)) == set(stn_bench.__all__) == for_checkers == set(lazily)
    assert len(lazily) == len(set(lazily))


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'stn_bench' has no attribute 'SpatialTransfomer'"):
        _ = stn_bench.SpatialTransfomer


def test_the_import_alone_brings_neither_torch_nor_hydra():
    program = "import sys, stn_bench; print({'torch', 'numpy', 'hydra', 'omegaconf'} & set(sys.modules))"
    assert printed(program) == "set()\n"


def test_every_public_name_needs_torch_alone():
    lines = [line for line in requires("stn-bench") if "extra ==" not in line]
    others = sorted({re.match(r"[\w-]+", line)[0].replace("-", "_") for line in lines} - {"torch"} | {"hydra"})
    assert {"numpy", "omegaconf", "safetensors", "pytorch_optimizer"} <= set(others)
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({others}))\nimport torch\nfrom stn_bench import *\n"
        "transformer = SpatialTransformer(torch.nn.Flatten(), 16, ThinPlateSpline())\n"
        "print(transformer(torch.ones(2, 1, 4, 4)).shape)"
    )
    assert printed(program) == "torch.Size([2, 1, 4, 4])\n"


def test_the_readmes_example_runs():
    (block,) = re.findall(r"```python\n([^`]*SpatialTransformer.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    names = {}
    exec(block, names)
    assert names["logits"].shape[0] == len(names["images"])
    torch.testing.assert_close(names["points"], names["transformer"].points_of(names["theta"], (32, 32)))


def test_a_transformer_stands_anywhere_in_a_users_network_and_learns_with_it():
    torch.manual_seed(1)
    network = nn.Sequential(
        SpatialTransformer(ConvolutionalLocaliser((3, 30, 40), filters=4), 20, Affine(), name="on the image"),
        nn.Conv2d(3, 4, 3, padding=1),
        SpatialTransformer(nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten()), 64, Translation(), output_size=(8, 8)),
        nn.Flatten(),
        nn.Linear(4 * 8 * 8, 2),
    )
    images = torch.rand(16, 3, 30, 40)
    labels = (images[:, 0, :, :20].mean((1, 2)) > images[:, 0, :, 20:].mean((1, 2))).long()
    torch.testing.assert_close(network[0](images), images, rtol=0, atol=1e-5)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    losses = []
    for _ in range(15):
        loss = nn.functional.cross_entropy(network(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert (network[0](images) - images).abs().max() > 0.01
