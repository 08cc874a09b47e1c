"""What a search compared is told from its records, and the committed tables are those of the committed records."""

import json
import shutil
from pathlib import Path

import collect_search
import pytest

from stn_bench.results.record import find_records
from stn_bench.results.statistics import wilson_interval

ROOT = Path(__file__).parents[2]
COMMITTED = sorted(path.parent for path in (ROOT / "outputs/reference").glob(f"*/{collect_search.COMPARISON}"))
RECORD = json.loads(min((ROOT / "outputs/reference/precision").rglob("result.json")).read_text())


@pytest.fixture
def leave(tmp_path):
    """Leave a run on held-out digits in the folder `runs`."""

    def leave(seed, tag, errors, data="r", evaluated_on="validation", name="fast", took="bf16", place="", **recipe):
        config = RECORD["config"] | {"seed": seed, "tag": tag, "recipe": RECORD["config"]["recipe"] | recipe}
        record = RECORD | {
            "choices": RECORD["choices"] | {"data": data, "tag": tag, "recipe": name},
            "precision": took,
            "config": config,
            "seed": seed,
            "errors": errors,
            "error": errors / 10_000,
            "wilson_95": wilson_interval(errors, 10_000),
            "evaluated_on": evaluated_on,
        }
        folder = tmp_path / f"runs/{data}/{name}/seed{seed}-{tag}{place}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "result.json").write_text(json.dumps(record))

    return leave


@pytest.fixture
def collect(tmp_path, monkeypatch):
    """Collect the runs; the lines of the table, as lists of cells."""

    def collect():
        reference = tmp_path / "reference"
        monkeypatch.setattr("sys.argv", ["collect_search.py", str(tmp_path / "runs"), str(reference)])
        collect_search.main()
        lines = (reference / collect_search.COMPARISON).read_text().splitlines()[2:]
        return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]

    return collect


def test_tags_are_told_best_first_by_what_they_set_otherwise(leave, collect):
    for seed, errors in ((1, 100), (2, 110)):
        leave(seed, "base", errors, batch_size=256)
        leave(seed, "wide", errors, batch_size=256)
        leave(seed, "small", errors - 20, batch_size=128)
    seconds = f"{RECORD['seconds']:.0f}"
    assert collect() == [
        ["R", "cnn_stn affine", "small", "recipe.batch_size=128", "0.85 ± 0.07", "0.80, 0.90", seconds, "0.7"],
        ["R", "cnn_stn affine", "base", "", "1.05 ± 0.07", "1.00, 1.10", seconds, "0.7"],
        ["R", "cnn_stn affine", "wide", "", "1.05 ± 0.07", "1.00, 1.10", seconds, "0.7"],
    ]


def test_a_key_that_older_runs_lack_is_told_where_it_is_set_and_equal_numbers_are_equal(leave, collect):
    leave(1, "old", 100, clip_norm=3)
    leave(1, "older", 100, clip_norm=3.0)
    leave(1, "new", 100, clip_norm=3, new_key=None)
    leave(1, "wide", 90, clip_norm=3.0, new_key=56)
    assert [line[2:4] for line in collect()] == [["wide", "recipe.new_key=56"], ["new", ""], ["old", ""], ["older", ""]]


def test_recipes_and_whatever_else_differs_are_not_averaged_as_seeds(leave, collect):
    leave(1, None, 70)
    leave(2, None, 72)
    leave(3, None, 60, batch_size=128)
    leave(1, None, 150, name="paper")
    assert [[line[2], line[3], line[5]] for line in collect()] == [
        ["-", "recipe.batch_size=128", "0.60"],
        ["-", "", "0.70, 0.72"],
        ["-", "recipe=paper", "1.50"],
    ]


def test_a_run_that_lies_there_twice_counts_once(leave, collect):
    leave(1, "base", 70)
    leave(1, "base", 70, place="-copy")
    assert [line[4:6] for line in collect()] == [["0.70", "0.70"]]


@pytest.mark.parametrize("collected", [False, True])
def test_two_runs_of_one_seed_are_refused_with_both_paths_before_either_is_copied(leave, collect, tmp_path, collected):
    leave(1, "base", 70)
    if collected:
        collect()
    leave(1, "base", 72, place="-again")
    with pytest.raises(SystemExit, match=r"/r/fast/seed1-base and .*/r/fast/seed1-base-again .* seed 1 .*: remove one"):
        collect()
    assert not (tmp_path / "reference/r/fast/seed1-base-again").exists()


def test_a_record_that_is_there_stays_and_another_one_of_its_path_is_refused(leave, collect, tmp_path):
    leave(1, "base", 70)
    before = collect()
    leave(1, "base", 72)
    leave(0, "base", 72)
    with pytest.raises(
        SystemExit, match=r"reference/r/fast/seed1-base/result.json is another record than .*: remove it"
    ):
        collect()
    assert [record.errors for record in find_records(tmp_path / "reference")] == [70]
    shutil.rmtree(tmp_path / "runs/r/fast")
    leave(1, "base", 70)
    assert collect() == before


def test_where_a_run_was_saved_and_keys_of_before_make_no_other_variant(leave, collect, tmp_path):
    for seed, change in ((1, {}), (2, {"checkpoint": {"every_minutes": 9.0, "every_steps": None}})):
        leave(seed, "base", 70)
        path = tmp_path / f"runs/r/fast/seed{seed}-base/result.json"
        record = json.loads(path.read_text())
        record["config"] |= change
        record["config"]["data"] |= {"undone": False} if change else {}
        path.write_text(json.dumps(record))
    assert [line[5] for line in collect()] == ["0.70, 0.70"]


def test_the_precision_is_that_which_a_run_took(leave, collect):
    leave(1, "base", 70, precision="bf16")
    leave(2, "base", 71, precision="auto")
    leave(1, "elsewhere", 72, precision="auto", took="fp32")
    assert [line[2:4] for line in collect()] == [["base", ""], ["elsewhere", "recipe.precision=fp32"]]


def test_halves_are_rounded_up_as_in_every_table(leave, collect):
    for seed, errors in ((1, 60), (2, 61)):
        leave(seed, "base", errors)
    assert collect()[0][4] == "0.61 ± 0.01"


def test_where_there_is_nothing_to_collect_it_says_so(tmp_path, collect, capsys):
    with pytest.raises(SystemExit):
        collect()
    assert f"there is no folder {tmp_path / 'runs'}" in capsys.readouterr().err
    (tmp_path / "runs").mkdir()
    with pytest.raises(SystemExit, match=r"no finished run on held-out digits in .*/runs: train some with"):
        collect()


def test_each_cell_is_compared_with_itself_and_with_the_paper(leave, collect):
    leave(1, "base", 100)
    leave(1, "base", 50, data="rts", clip_norm=9.0)
    leave(1, "base", 70, data="none")
    assert [[line[0], line[3], line[4], line[7]] for line in collect()] == [
        ["NONE", "", "0.70", "-"],
        ["R", "", "1.00", "0.7"],
        ["RTS", "", "0.50", "0.5"],
    ]


def test_runs_on_test_digits_are_left_out_and_collecting_again_adds(leave, collect):
    leave(1, "base", 100)
    leave(2, "base", 100, evaluated_on="test")
    assert [line[5] for line in collect()] == ["1.00"]
    leave(3, "base", 120)
    assert [line[5] for line in collect()] == ["1.00, 1.20"]


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda folder: folder.name)
def test_the_committed_records_give_the_committed_comparison(folder):
    table = (folder / collect_search.COMPARISON).read_text(encoding="utf-8")
    assert collect_search.comparison(find_records(folder)) == table, "stale: collect the folder again"
    assert {record.evaluated_on for record in find_records(folder)} == {"validation"}
