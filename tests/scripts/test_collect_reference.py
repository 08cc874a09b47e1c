"""What is collected is what was run, and what is committed is what the records say."""

import shutil
from dataclasses import replace
from pathlib import Path

import collect_reference
import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from stn_bench.cli.table import main as stn_table
from stn_bench.results.agreement import differences
from stn_bench.results.figure import fingerprint
from stn_bench.results.predictions import wrong_predictions
from stn_bench.results.record import RunRecord, find_records, write_record
from stn_bench.results.spec import parse_spec
from stn_bench.results.statistics import wilson_interval
from stn_bench.results.table import build_table

ROOT = Path(__file__).parents[2]
COMMITTED = sorted(path.parent for path in (ROOT / "outputs/reference").glob("*/table.md"))


@pytest.fixture
def leave_run(tmp_path):
    """A function that leaves a run of 100 images, of which the first `errors` are wrong, below `runs`."""

    def leave(errors=3, seed=1, recipe="fast", tag=None, shift=0, **other):
        folder = tmp_path / f"runs/r/cnn-plain/{recipe}/seed{seed}{'-' * bool(tag)}{tag or ''}"
        folder.mkdir(parents=True)
        labels = ((np.arange(100) + shift) % 10).astype(np.uint8)
        predictions = np.where(np.arange(100) < errors, 10, labels).astype(np.uint8)
        theta = {"theta/transformer": np.zeros((100, 6))}
        np.savez_compressed(folder / "predictions.npz", predictions=predictions, labels=labels, **theta)
        (folder / "model.safetensors").write_bytes(b"weights")
        fields = {
            "choices": {"data": "r", "model": "cnn", "transform": None, "recipe": recipe, "tag": tag},
            "seed": seed,
            "evaluated_on": "test",
            "error": errors / 100,
            "errors": errors,
            "images": 100,
            "wilson_95": wilson_interval(errors, 100),
            "steps": 20,
            "epochs": 1.0,
            "images_seen": 20,
            "seconds": 3600.0,
            "images_per_second": 1.0,
            "parameters": 10,
            "device": "CPU, 1 thread (x86_64)",
            "precision": "bf16",
            "config": {"seed": seed},
            "versions": {"torch": "2.15.0"},
            "git_commit": None,
            "data_sha256": "0",
            "warp": {},
            "finished_at": "2025-03-01T12:00:00+00:00",
        }
        write_record(folder, RunRecord(**fields | other))
        return folder

    return leave


@pytest.fixture
def collect(tmp_path, monkeypatch):
    """A function that runs the script and returns the folder that it fills."""

    def run(*options):
        words = ["collect_reference.py", str(tmp_path / "runs"), str(tmp_path / "reference"), *options]
        monkeypatch.setattr("sys.argv", words)
        collect_reference.main()
        return tmp_path / "reference"

    return run


def names(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


PUBLISHED = {"table.md", "table.tex", "table.csv", "tests.csv", "totals.md", "figure.png", "labels.npz"}


def test_a_run_is_kept_with_what_statistics_need_and_nothing_else(leave_run, collect):
    run = leave_run()
    reference = collect()
    kept = {"r/cnn-plain/fast/seed1/result.json", "r/cnn-plain/fast/seed1/predictions.npz"}
    assert names(reference) == PUBLISHED | kept
    assert (reference / "r/cnn-plain/fast/seed1/result.json").read_bytes() == (run / "result.json").read_bytes()
    with np.load(reference / "r/cnn-plain/fast/seed1/predictions.npz") as arrays:
        assert list(arrays) == ["predictions"]
    (record,) = find_records(reference)
    assert wrong_predictions(record).sum() == 3


def test_runs_of_another_recipe_tag_or_on_held_out_digits_are_left(leave_run, collect):
    leave_run()
    leave_run(seed=2, recipe="paper")
    leave_run(seed=3, tag="wide")
    leave_run(seed=4, tag="oracle")
    leave_run(seed=5, evaluated_on="validation")
    # the tag of the table's own rows stays
    assert [run.seed for run in find_records(collect())] == [1, 4]


def test_a_recipe_of_ones_own_makes_its_table(leave_run, collect):
    leave_run(recipe="paper")
    assert "recipe paper" in (collect("--recipe", "paper") / "table.md").read_text()


def test_without_a_run_to_collect_nothing_is_written(leave_run, collect, tmp_path):
    leave_run(recipe="paper")
    with pytest.raises(SystemExit, match="no finished run of recipe fast in"):
        collect()
    assert not (tmp_path / "reference").exists()


def test_predictions_that_contradict_their_record_are_not_collected(leave_run, collect, tmp_path):
    folder = leave_run()
    with np.load(folder / "predictions.npz") as arrays:
        labels = arrays["labels"]
    np.savez_compressed(folder / "predictions.npz", predictions=labels, labels=labels)
    with pytest.raises(SystemExit, match="0 predictions are wrong, but the record says 3: delete the folder"):
        collect()
    assert not (tmp_path / "reference").exists()


def test_runs_on_other_digits_are_not_collected_into_one_folder(leave_run, collect):
    leave_run()
    leave_run(seed=2, shift=1)
    with pytest.raises(SystemExit, match=r"its labels are not those in .*labels.npz: collect it into another folder"):
        collect()


def test_a_run_made_before_labels_were_kept_gets_mnists(leave_run, collect, few_digits, monkeypatch):
    folder = leave_run()
    digits = few_digits._replace(test_labels=(np.arange(100) % 10).astype(np.uint8))
    monkeypatch.setattr("stn_bench.data.sources.load_mnist", lambda: digits)
    with np.load(folder / "predictions.npz") as arrays:
        predictions = arrays["predictions"]
    np.savez_compressed(folder / "predictions.npz", predictions=predictions)
    (record,) = find_records(collect())
    assert wrong_predictions(record).sum() == 3


def test_a_folder_collected_into_itself_gets_the_same_files_again(leave_run, collect, tmp_path):
    leave_run()
    reference = collect()
    before = {name: (reference / name).read_bytes() for name in names(reference)}
    for name in PUBLISHED - {"labels.npz"}:
        (reference / name).unlink()
    shutil.rmtree(tmp_path / "runs")
    (tmp_path / "runs").symlink_to(reference)
    collect()
    assert {name: (reference / name).read_bytes() for name in names(reference)} == before


def test_a_record_that_is_there_stays_and_another_one_of_its_path_is_refused(leave_run, collect):
    first = leave_run()
    reference = collect()
    before = {name: (reference / name).read_bytes() for name in names(reference)}
    assert collect() == reference
    shutil.rmtree(first)
    leave_run(errors=5)
    leave_run(errors=5, seed=0)
    with pytest.raises(
        SystemExit, match=r"reference/r/cnn-plain/fast/seed1/result.json is another record than .*/runs/.*: remove it"
    ):
        collect()
    assert {name: (reference / name).read_bytes() for name in names(reference)} == before


def test_later_seeds_outside_the_interval_of_the_first_are_counted_and_named(leave_run, collect):
    for seed, errors in ((1, 20), (2, 24), (3, 50)):
        leave_run(seed=seed, errors=errors)
    assert (
        "- Later seeds: 1 of 2 inside the 95 % Wilson interval of their cell's first seed; outside: CNN on R, seed 3: "
        "50.00 after 20.00"
    ) in (collect() / "totals.md").read_text().splitlines()


def test_the_total_is_told_by_seed_and_for_runs_side_by_side(leave_run, collect):
    for seed, seconds in ((1, 3600.0), (2, 5400.0)):
        leave_run(seed=seed, seconds=seconds)
    leave_run(seed=2, tag="oracle", device="CPU, 1 thread (x86_64), then CPU, 2 threads (x86_64)", seconds=600.0)
    leave_run(seed=3, tag="oracle", device="NVIDIA H100")
    lines = (collect() / "totals.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    assert cells[0] == ["sweep", "seed", "cells", "one after another", "on 2 cores"]
    assert cells[2:] == [
        ["distorted_mnist", "1", "1 of 32", "1:00", "0:30"],
        ["distorted_mnist", "2", "1 of 32", "1:30", "0:45"],
        ["bounds", "2", "1 of 10", "0:10", "0:10"],
        ["bounds", "3", "1 of 10", "1:00", "-"],
    ]
    assert "- Devices: CPU, 1 thread (x86_64); CPU, 2 threads (x86_64); NVIDIA H100" in lines
    assert "- Versions: torch 2.15.0" in lines


def test_there_are_committed_tables():
    assert ROOT / "outputs/reference/distorted_mnist" in COMMITTED


@pytest.mark.parametrize("name", collect_reference.TABLES)
@pytest.mark.parametrize("folder", COMMITTED, ids=lambda folder: folder.name)
def test_the_committed_records_give_the_committed_tables(folder, name, capsysbinary):
    assert stn_table(["--runs", str(folder), *collect_reference.TABLES[name]]) == 0
    assert capsysbinary.readouterr().out == (folder / name).read_bytes(), f"{name} is stale: collect the folder again"


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda folder: folder.name)
def test_the_committed_records_give_the_committed_totals(folder):
    assert (folder / "totals.md").read_text(encoding="utf-8") == collect_reference.totals(folder)


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda folder: folder.name)
def test_the_committed_figure_was_drawn_of_the_committed_records(folder):
    table = build_table(parse_spec((ROOT / "configs/table/distorted_mnist.yaml").read_text(), ""), find_records(folder))
    with Image.open(folder / collect_reference.FIGURE) as figure:
        assert figure.text["Description"] == fingerprint(table), "the figure is stale: collect the folder again"


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda folder: folder.name)
def test_the_committed_predictions_bear_out_the_committed_records(folder):
    for record in find_records(folder):
        assert wrong_predictions(record).mean() == pytest.approx(record.error)


def test_every_published_cell_is_of_the_configs_as_they_stand(compose_config):
    """As the README says; what older records lack did nothing then, see `agreement`."""
    records = [record for record in find_records(ROOT / "outputs/reference/distorted_mnist") if record.seed == 1]
    assert len(records) == 42
    for record in records:
        words = [f"{group}={name}" for group, name in record.choices.items() if name is not None]
        undone = ["data.undone=true"] if record.choices["tag"] == "oracle" else []
        now = OmegaConf.to_container(compose_config(*words, *undone), resolve=True)
        assert differences([record, replace(record, config=now)]) == [], record.folder
