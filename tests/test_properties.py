"""Laws that hold for whatever is drawn: configs survive their file, tables do not depend on the order of records."""

import json
from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from stn_bench.cli.choices import choices
from stn_bench.cli.run_folder import CONFIG, FolderTaken, claim, fingerprint, is_finished
from stn_bench.results.record import WHERE_AND_HOW, RunRecord
from stn_bench.results.spec import parse_spec
from stn_bench.results.statistics import wilson_interval
from stn_bench.results.table import build_table

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "outputs/reference/distorted_mnist"  # evaluated on test digits, as a table wants them
RECORD = json.loads(min(REFERENCE.rglob("result.json")).read_text())
SPEC = parse_spec((ROOT / "configs/table/distorted_mnist.yaml").read_text(), "distorted_mnist")

models = st.sampled_from(sorted(choices("model"))).flatmap(
    lambda model: (
        st.tuples(st.just(f"model={model}"), st.sampled_from(sorted(choices("transform"))).map("transform={}".format))
        if model.endswith("_stn")
        else st.tuples(st.just(f"model={model}"))
    )
)
words = st.tuples(
    models,
    st.sampled_from(sorted(choices("data"))).map("data={}".format),
    st.sampled_from(sorted(choices("recipe"))).map("recipe={}".format),
    st.integers(0, 2**63 - 1).map("seed={}".format),
    st.floats(1e-6, 10).map("recipe.optimiser.lr={!r}".format),
    st.integers(1, 10**6).map("recipe.batch_size={}".format),
    st.sampled_from(["recipe.precision=fp32", "recipe.clip_norm=0.1", "checkpoint.every_steps=7", "tag=wide.2"]),
).map(lambda parts: [*parts[0], *parts[1:]])


def plain(config):
    return OmegaConf.to_container(config, resolve=True)


@settings(max_examples=25, deadline=None)
@given(words=words)
def test_a_config_survives_its_file(compose_once, tmp_path_factory, words):
    folder = tmp_path_factory.mktemp("run")
    config = plain(compose_once(*words))
    claim(folder, config)
    found = plain(OmegaConf.load(folder / CONFIG))
    assert found == config
    assert fingerprint(found) == fingerprint(config)
    assert is_finished(folder, config) is False
    with pytest.raises(FolderTaken, match="seed"):
        is_finished(folder, {**config, "seed": config["seed"] + 1})


@pytest.fixture(scope="module")
def compose_once():
    """`compose_config` for many examples."""
    from hydra import compose, initialize_config_module

    from stn_bench import schema

    schema.register()
    with initialize_config_module("stn_bench.configs", version_base="1.3"):
        yield lambda *overrides: compose("train", list(overrides))


@given(drawn=st.dictionaries(st.sampled_from([*WHERE_AND_HOW, "more"]), st.integers()))
def test_keys_that_do_not_matter_do_not_change_a_fingerprint(drawn):
    config = {"seed": 1, "data": {"fresh": True}}
    assert (fingerprint({**config, **drawn}) == fingerprint(config)) == ("more" not in drawn)


def record(model, data, seed, errors):
    model, transform = model
    choice = {"model": model, "transform": transform, "data": data, "recipe": "fast", "tag": None}
    content = RECORD | {"choices": choice, "seed": seed, "errors": errors, "images": 10_000, "error": errors / 10_000}
    return RunRecord(**content | {"wilson_95": wilson_interval(errors, 10_000)})


runs = st.dictionaries(
    st.tuples(
        st.sampled_from([("fcn", None), ("cnn", None), ("fcn_stn", "affine"), ("cnn_stn", "tps")]),
        st.sampled_from(["r", "rts", "p", "e"]),
        st.integers(1, 5),
    ),
    st.integers(0, 10_000),
    max_size=20,
)


@settings(deadline=None)
@given(runs=runs, dice=st.randoms(use_true_random=False))
def test_a_table_does_not_depend_on_the_order_of_its_records_and_counts_them_all(runs, dice):
    records = [record(*key, errors) for key, errors in runs.items()]
    shuffled = list(records)
    dice.shuffle(shuffled)
    table, other = (build_table(SPEC, found, recipe="fast") for found in (records, shuffled))
    assert table == other
    assert sum(len(cell.runs) for cell in table.cells) == len(records)
    assert not [cell for cell in table.cells if cell.runs and cell.row.sweep], "no run is one of the bounds"
    for cell in (cell for cell in table.cells if cell.row.sweep is None):
        wanted = (cell.choices["model"], cell.choices["transform"]), cell.choices["data"]
        errors = [errors / 10_000 for (model, data, _), errors in runs.items() if (model, data) == wanted]
        assert len(cell.runs) == len(cell.seeds) == len(errors)
        assert cell.mean == (pytest.approx(fmean(errors)) if errors else None)
