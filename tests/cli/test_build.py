"""From a config to an object: what is built, what is refused, and whose fault is whose."""

from functools import partial

import pytest
import torch
from omegaconf import OmegaConf

from stn_bench.cli.build import ConfigError, build
from stn_bench.cli.parts import Parts
from stn_bench.models import FCN


def node(**content):
    return OmegaConf.create(content)


def test_a_config_is_its_constructors_arguments():
    built = build(node(_target_="stn_bench.models.FCN", units=7), "model", image_shape=(1, 4, 4), classes=3)
    assert isinstance(built, FCN)
    assert (built.width, built[-1].out_features) == (7, 3)


def test_lists_and_mappings_arrive_as_pythons_own():
    content = {"_target_": "stn_bench.models.FullyConnectedLocaliser", "units": [5, 6], "_partial_": True}
    made = build(OmegaConf.create(content), "localiser")
    assert isinstance(made, partial)
    assert type(made.keywords["units"]) is list


def test_parts_are_built_before_the_whole():
    built = build(
        node(
            _target_="stn_bench.training.Recipe",
            steps=3,
            optimiser={"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.5},
            schedule={"_target_": "stn_bench.training.StepDecay", "every": 2, "factor": 0.1},
        ),
        "recipe",
    )
    assert built.optimiser.func is torch.optim.SGD
    assert built.schedule(2, 3) == 0.1


def test_references_between_keys_are_followed():
    config = OmegaConf.create(
        {"model": {"_target_": "torch.nn.Linear", "in_features": "${size}", "out_features": 2}, "size": 3}
    )
    assert build(config.model, "model").weight.shape == (2, 3)


@pytest.mark.parametrize("target", ["stn_bench.FCN", "stn_bench.models.FCN", "stn_bench.models.classifiers.FCN"])
def test_a_class_may_be_named_by_any_of_its_addresses(target):
    assert isinstance(build(node(_target_=target, image_shape=[1, 4, 4], classes=3, units=2), "model"), FCN)


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ({"_target_": "os.getcwd"}, "model"),
        ({"_target_": "torch.nn.Linear", "bias": {"_target_": "os.getcwd"}}, "model.bias"),
        ({"_target_": "torch.nn.Sequential", "_args_": [{"_target_": "os.getcwd"}]}, "model._args_[0]"),
        ({"deep": [{"er": {"_target_": "os.getcwd"}}]}, "model.deep[0].er"),
    ],
)
def test_a_name_that_is_not_trusted_is_refused_by_its_place(content, place):
    with pytest.raises(ConfigError) as refused:
        build(OmegaConf.create(content), "model")
    assert str(refused.value) == (
        f"{place}._target_=os.getcwd is not built: only names below stn_bench, torch.nn, torch.optim are; "
        "if you trust the package, add trusted=[os]"
    )


def test_a_package_is_trusted_by_its_whole_name():
    fraction = node(_target_="fractions.Fraction", numerator=1, denominator=2)
    assert build(fraction, "x", trusted=["fractions"]).denominator == 2
    with pytest.raises(ConfigError, match=r"only names below .* fraction are"):
        build(fraction, "x", trusted=["fraction"])


def test_a_trusted_package_that_is_not_installed_is_told():
    with pytest.raises(ConfigError, match=r"^x\._target_=foo_bar\.Baz: there is no package 'foo_bar' here$"):
        build(node(_target_="foo_bar.Baz"), "x", trusted=["foo_bar"])


@pytest.mark.parametrize("target", ["broken.Net", "whole.broken.Net"])
def test_a_trusted_package_that_lacks_another_says_which(tmp_path, monkeypatch, target):
    for name in ("broken", "whole", "whole/broken"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("import nowhere_at_all\n" if name.endswith("broken") else "")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"broken cannot be imported: No module named 'nowhere_at_all'$"):
        build(node(_target_=target), "model", trusted=["broken", "whole"])


def test_what_a_trusted_module_imports_is_not_trusted():
    with pytest.raises(ConfigError, match=r"_target_=fractions.math.sqrt is not built: it belongs to math, not to "):
        build(node(_target_="fractions.math.sqrt", _args_=[4]), "x", trusted=["fractions"])


@pytest.mark.parametrize("target", ["torch.nn", "stn_bench.models", "stn_bench.models.classifiers.BUDGET", 3])
def test_what_cannot_be_called_is_not_built(target):
    with pytest.raises(ConfigError, match=f"_target_={target} is not built: "):
        build(node(_target_=target), "model")


def test_below_a_class_there_is_nothing():
    with pytest.raises(ConfigError, match=r"FCN.foo does not exist: there is no 'foo' in it"):
        build(node(_target_="stn_bench.models.FCN.foo"), "model")


def test_a_name_that_is_not_there_is_said_so():
    with pytest.raises(
        ConfigError, match=r"^model._target_=stn_bench.modles.FCN does not exist: .* no 'modles' in it$"
    ):
        build(node(_target_="stn_bench.modles.FCN"), "model")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"_target_": "torch.nn.Linear", "in_features": 3}, "missing 1 required positional argument: 'out_features'"),
        ({"_target_": "torch.nn.Dropout", "p": 2}, "dropout probability has to be between 0 and 1, but got 2"),
        ({"_target_": "torch.nn.Dropout", "q": 0.5}, "got an unexpected keyword argument 'q'"),
    ],
)
def test_what_a_constructor_refuses_is_the_configs_fault(content, words):
    with pytest.raises(ConfigError, match=f"^model cannot be built: .*{words}"):
        build(OmegaConf.create(content), "model")


CNN = {"_target_": "stn_bench.models.CNN", "image_shape": [1, 28, 28], "classes": 10}
ROTATION = {"_target_": "stn_bench.distortions.Rotation"}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (CNN | {"filters": "many"}, "model.filters=many does not fit: Expected `int | null`, got `str`"),
        (CNN | {"filters": 1.5}, "model.filters=1.5 does not fit: Expected `int | null`, got `float`"),
        (CNN | {"filters": True}, "model.filters=true does not fit: Expected `int | null`, got `bool`"),
        (CNN | {"min_size": None}, "model.min_size=null does not fit: Expected `int`, got `null`"),
        (CNN | {"image_shape": [1, 28]}, "model.image_shape=[1, 28] does not fit: Expected `array` of length 3, got 2"),
        (CNN | {"min_size": float("inf")}, "model.min_size=inf is not a finite number"),
        (ROTATION | {"max_degrees": float("nan")}, "model.max_degrees=nan is not a finite number"),
        (ROTATION | {"max_degrees": "90"}, "model.max_degrees=90 does not fit: Expected `float`, got `str`"),
        (
            {"deep": [{"_target_": "torch.nn.Linear", "in_features": 1, "out_features": 1, "bias": "no"}]},
            "model.deep[0].bias=no does not fit: Expected `bool`, got `str`",
        ),
    ],
)
def test_a_value_of_another_type_is_refused_by_its_key(content, sentence):
    with pytest.raises(ConfigError) as refused:
        build(OmegaConf.create(content), "model")
    assert str(refused.value) == sentence


CONVOLUTION = {"_target_": "torch.nn.Conv2d", "in_channels": 1, "out_channels": 1}
ADAMW = {"_target_": "torch.optim.AdamW", "_partial_": True}


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        (ROTATION | {"max_degrees": 90}, lambda built: built.max_degrees == 90),
        (CNN | {"filters": None}, lambda built: built.width == 89),
        (CONVOLUTION | {"kernel_size": 3}, lambda built: built.weight.shape == (1, 1, 3, 3)),
        (CONVOLUTION | {"kernel_size": [3, 5]}, lambda built: built.weight.shape == (1, 1, 3, 5)),
        (ADAMW | {"lr": 1, "betas": [0.9, 0.99]}, lambda built: built.keywords == {"lr": 1, "betas": [0.9, 0.99]}),
    ],
)
def test_a_value_that_is_as_good_as_the_type_is_built(content, seen):
    assert seen(build(OmegaConf.create(content), "model"))


def test_what_is_built_computes_on_a_gpu_as_it_says(compose_config, few_files):
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.deterministic = False
    Parts.of(compose_config("model=fcn", "recipe=smoke", "device=cpu"))
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cudnn.deterministic


def test_what_is_not_the_configs_fault_is_handed_on(monkeypatch):
    def load(folder):
        raise ConnectionError("no network")

    monkeypatch.setattr("stn_bench.data.distorted.load_mnist", load)
    undistorted = {"_target_": "stn_bench.distortions.Undistorted"}
    with pytest.raises(ConnectionError, match=r"^no network$"):
        build(node(_target_="stn_bench.data.distorted.distorted_mnist", distortion=undistorted), "data")
