"""Run folders: one config each."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from stn_bench.cli.run_folder import (
    FolderDamaged,
    FolderTaken,
    as_begun,
    claim,
    fingerprint,
    is_finished,
    remove_if_empty,
)
from stn_bench.results.record import read_record, write_record

COMMITTED = min((Path(__file__).parents[2] / "outputs/reference/precision").rglob("result.json"))
CONFIG = {
    "data": {"_target_": "stn_bench.data.distorted.distorted_mnist", "folder": None, "sizes": [28, 28]},
    "model": {"_target_": "m"},
    "recipe": {"steps": 20, "optimiser": {"lr": 0.001, "betas": (0.9, 0.999)}},
    "seed": 1,
    "device": "auto",
    "output": "outputs/runs",
    "trusted": [],
}


DAMAGED = [
    *(f"data: {value}\nmodel: {{}}\nrecipe: {{}}" for value in ("5", "null", "[1]", "&a [*a]", "{x: !!binary aGk=}")),
    "data: {}\nrecipe: {}",
]


def changed(**keys):
    """The config with values of dotted keys (written a__b) put in place."""
    config = json.loads(json.dumps(CONFIG))
    for key, value in keys.items():
        *path, last = key.split("__")
        part = config
        for name in path:
            part = part[name]
        part[last] = value
    return config


@pytest.fixture
def folder(tmp_path):
    """The folder of a finished run of CONFIG."""
    claim(tmp_path / "run", CONFIG)
    (tmp_path / "run/result.json").write_text("{}")
    return tmp_path / "run"


def test_a_folder_that_is_not_there_holds_no_run(tmp_path):
    assert is_finished(tmp_path / "run", CONFIG) is False


def test_a_run_is_finished_once_its_record_is_there(folder):
    assert is_finished(folder, CONFIG) is True
    (folder / "result.json").unlink()
    assert is_finished(folder, CONFIG) is False


def test_a_record_without_a_config_beside_it_says_whose_the_folder_is(tmp_path):
    run = tmp_path / "run"
    claim(run, CONFIG)
    record = read_record(COMMITTED)
    write_record(run, replace(record, config=changed()))
    (run / "config.yaml").unlink()
    assert is_finished(run, CONFIG) is True
    with pytest.raises(FolderTaken, match=r"seed \(there 1, now 2\)"):
        is_finished(run, changed(seed=2))
    (run / "result.json").write_text("{")
    assert is_finished(run, changed(seed=2)) is False


def test_in_a_claimed_folder_what_the_run_computes_is_as_it_was_written(folder):
    begun = as_begun(folder, changed(recipe__steps=20.0, data__folder="/elsewhere", device="cpu"))
    assert begun == changed(data__folder="/elsewhere", device="cpu")
    assert type(begun["recipe"]["steps"]) is int
    assert as_begun(folder.parent / "new", CONFIG) == CONFIG


def test_another_folder_of_data_of_ones_own_is_another_run(tmp_path):
    one, other, without = (
        changed(data={"_target_": "mine.digits", **key}) for key in ({"folder": 1}, {"folder": 2}, {})
    )
    claim(tmp_path, one)
    with pytest.raises(FolderTaken, match=r"differs in data\.folder \(there 1, now 2\)"):
        is_finished(tmp_path, other)
    assert fingerprint(one) == fingerprint(other) == fingerprint(without)  # its checkpoints are of the folder's run
    claim(tmp_path, without)
    assert as_begun(tmp_path, without) == without


def test_a_claimed_folder_holds_the_config(folder):
    assert OmegaConf.to_container(OmegaConf.load(folder / "config.yaml")) == changed()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (changed(seed=2), "seed (there 1, now 2)"),
        (changed(recipe__optimiser__lr=0.01), "recipe.optimiser.lr (there 0.001, now 0.01)"),
        (changed(data__sizes=[28]), "data.sizes (there [28, 28], now [28])"),
        (changed(recipe__new=3), "recipe.new (there None, now 3)"),
        (changed(seed=2, recipe__steps=7), "recipe.steps (there 20, now 7); seed (there 1, now 2)"),
        (changed(recipe=3), "recipe (there {'steps': 20, 'optimiser': {'lr': 0.001, 'betas': [0.9, 0.999]}}, now 3)"),
    ],
)
def test_another_config_is_refused_by_the_keys_that_differ(folder, config, words):
    with pytest.raises(FolderTaken) as refused:
        is_finished(folder, config)
    assert str(refused.value) == (
        f"{folder} holds a run of another config, which differs in {words}: add tag=NAME to keep both, "
        "change the keys back, or delete the folder"
    )


def test_a_run_from_before_data_could_be_undone_is_one_of_data_that_is_not(folder):
    assert is_finished(folder, changed(data__undone=False)) is True
    assert fingerprint(changed(data__undone=False)) == fingerprint(CONFIG)
    with pytest.raises(FolderTaken, match=r"data\.undone \(there False, now True\)"):
        is_finished(folder, changed(data__undone=True))


def test_a_key_that_is_gone_is_a_difference(folder):
    config = changed()
    del config["recipe"]["steps"]
    with pytest.raises(FolderTaken, match=r"recipe.steps \(there 20, now None\)"):
        is_finished(folder, config)


@pytest.mark.parametrize(
    "keys",
    [
        {"device": "cuda"},
        {"output": "/scratch"},
        {"trusted": ["mine"]},
        {"data__folder": "/mnist"},
        {"checkpoint": {"every_steps": 5}},
    ],
)
def test_where_and_how_a_run_is_done_makes_no_difference(folder, keys):
    assert is_finished(folder, changed(**keys)) is True


@pytest.mark.parametrize("text", ["", "recipe: [", "- a", "\x00", "data: {", "7", *DAMAGED], ids=repr)
def test_a_torn_config_is_refused_with_what_to_do(folder, text):
    (folder / "config.yaml").write_text(text)
    with pytest.raises(FolderDamaged, match=rf"^{folder}/config.yaml cannot be read .* delete the file if it is this"):
        is_finished(folder, CONFIG)


def test_configs_of_one_run_have_one_fingerprint_and_others_another():
    assert fingerprint(CONFIG) == fingerprint(changed(device="cuda", data__folder="/mnist", output="there"))
    assert fingerprint(CONFIG) == fingerprint(dict(reversed(CONFIG.items())))
    assert len({fingerprint(changed(seed=seed)) for seed in range(5)}) == 5
    assert fingerprint(changed(seed=1)) == fingerprint(CONFIG)


def test_claiming_sweeps_up_what_died_half_written_and_nothing_else(folder):
    for name in (".status.json.77.tmp", ".config.yaml.77.tmp", ".lock", "notes.tmp"):
        (folder / name).touch()
    claim(folder, CONFIG)
    assert {path.name for path in folder.iterdir()} == {"config.yaml", "result.json", ".lock", "notes.tmp"}


def test_empty_folders_are_removed_up_to_the_root(tmp_path):
    (tmp_path / "runs/r/cnn/seed1").mkdir(parents=True)
    remove_if_empty(tmp_path / "runs/r/cnn/seed1", tmp_path / "runs")
    assert [path.name for path in tmp_path.rglob("*")] == ["runs"]


def test_a_folder_with_something_in_it_stays_with_all_above_it(tmp_path):
    (tmp_path / "runs/r/cnn/seed1").mkdir(parents=True)
    (tmp_path / "runs/r/cnn/seed2").mkdir()
    remove_if_empty(tmp_path / "runs/r/cnn/seed1", tmp_path / "runs")
    assert [path.name for path in (tmp_path / "runs/r/cnn").iterdir()] == ["seed2"]
    (tmp_path / "runs/r/cnn/seed2/config.yaml").touch()
    remove_if_empty(tmp_path / "runs/r/cnn/seed2", tmp_path / "runs")
    assert (tmp_path / "runs/r/cnn/seed2/config.yaml").exists()


def test_a_folder_elsewhere_is_left_alone(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    remove_if_empty(tmp_path / "elsewhere", tmp_path / "runs")
    assert (tmp_path / "elsewhere").exists()
