"""What a run leaves is the network that was evaluated, to whoever loads it."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from stn_bench import load_run
from stn_bench.cli.build import ConfigError
from stn_bench.trained import NotLoaded

README = Path(__file__).parents[2] / "README.md"
RUN = Path("outputs/runs/rts/cnn_stn-tps/smoke/seed1")


@pytest.fixture
def finished(few_files, stn_train):
    """A finished run, in the working folder; in float32, as bfloat16 rounds by the batch that an image is in."""
    words = ("recipe=smoke", "recipe.batch_size=64", "recipe.precision=fp32")
    result = stn_train("data=rts", "model=cnn_stn", "transform=tps", *words)
    assert result.code == 0, result.err
    return RUN


def test_it_predicts_what_the_run_predicted_and_draws_no_number_of_its_callers(finished):
    before = torch.get_rng_state()
    network, data = load_run(finished)
    assert torch.equal(torch.get_rng_state(), before)
    assert not network.training
    with torch.no_grad():
        found = [(network(images).argmax(1), labels) for images, labels in data.evaluation_batches(7)]
    predictions, labels = (torch.cat(parts).numpy() for parts in zip(*found, strict=True))
    kept = np.load(finished / "predictions.npz")
    np.testing.assert_array_equal(predictions, kept["predictions"])
    np.testing.assert_array_equal(labels, kept["labels"])


def test_the_readmes_lines_run(few_files, stn_train):
    (block,) = re.findall(r"```python\n([^`]*load_run.*?)```", README.read_text(), re.DOTALL)
    (folder,) = re.findall(r"outputs/[\w/-]+", block)
    stn_train("recipe=smoke", "recipe.batch_size=64")
    Path(folder).parent.parent.mkdir(exist_ok=True)
    shutil.move(folder.replace("fast", "smoke"), folder)
    names = {}
    exec(block, names)
    assert (names["theta"].shape, names["logits"].shape) == ((50, 6), (50, 10))  # of few digits


@pytest.mark.parametrize("missing", ["result.json", "model.safetensors"])
def test_a_run_that_is_not_finished_is_refused_by_what_it_lacks(finished, missing):
    (finished / missing).unlink()
    with pytest.raises(NotLoaded, match=f"^{finished} holds no finished run, as it has no {missing}: name the folder"):
        load_run(finished)


@pytest.mark.parametrize("change", [{"model.localiser.features": 7}, {"transform": None, "model.transform.rows": 3}])
def test_weights_of_another_network_are_refused(finished, change):
    config = OmegaConf.load(finished / "config.yaml")
    for key, value in change.items():
        OmegaConf.update(config, key, value)
    OmegaConf.save(config, finished / "config.yaml")
    with pytest.raises(NotLoaded, match=r"model\.safetensors does not hold the weights of its config: .*size mismatch"):
        load_run(finished)


def test_weights_that_cannot_be_read_are_refused(finished):
    (finished / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(NotLoaded, match=r"model\.safetensors does not hold the weights of its config: "):
        load_run(finished)


def test_where_the_config_is_damaged_or_gone_the_record_has_it(finished):
    expected = load_run(finished).network.state_dict()
    (finished / "config.yaml").write_text("data: [")
    torch.testing.assert_close(load_run(finished).network.state_dict(), expected, rtol=0, atol=0)
    (finished / "config.yaml").unlink()
    torch.testing.assert_close(load_run(finished).network.state_dict(), expected, rtol=0, atol=0)


def test_a_config_cannot_trust_itself(finished):
    config = OmegaConf.load(finished / "config.yaml")
    config.trusted, config.model = ["fractions"], {"_target_": "fractions.Fraction"}
    OmegaConf.save(config, finished / "config.yaml")
    with pytest.raises(ConfigError, match=r"model\._target_=fractions\.Fraction is not built"):
        load_run(finished)
