"""The benchmark's arithmetic, and that each thing it measures can be measured."""

import itertools
import json
from pathlib import Path

import benchmark
import measures
import plain
import pytest
import torch
import turns
from benchmark_table import Row, table
from command_use import Used

from stn_bench.models import CNN

RECORD = Path(__file__).parents[2] / "outputs/reference/benchmark_avx2.json"


def test_a_row_is_met_from_its_target_on_or_up_to_it():
    row = Row("speed", "images/s", 30.0, 10.0, 3.0, 3.0)
    assert row.met
    assert not Row("speed", "images/s", 29.9, 10.0, 2.99, 3.0).met
    assert Row("time", "s", 6.0, None, 6.0, 6.0, at_most=True).met
    assert not Row("time", "s", 6.1, None, 6.1, 6.0, at_most=True).met


def test_the_table_says_which_targets_are_missed():
    rows = [Row("fast", "images/s", 3e4, 1e3, 30.0, 15), Row("slow", "s", 7.5, None, 7.5, 6, True)]
    fast, slow = table(rows).splitlines()[2:]
    assert [cell.strip() for cell in fast.split("|")[1:-1]] == [
        "fast", "30,000 images/s", "1,000 images/s", "30x", "at least 15",
    ]  # fmt: skip
    assert [cell.strip() for cell in slow.split("|")[1:-1]] == ["slow", "7.50 s", "", "7.50", "at most 6 (missed)"]


def test_what_was_measured_is_written_with_the_command_and_the_versions(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["elsewhere/scripts/costs.py", "--json", "costs.json"])
    measures.write(tmp_path / "costs.json", {"cores": 2}, {"rows": [1]}, cuda="13.0")
    written = json.loads((tmp_path / "costs.json").read_text())
    assert list(written) == ["command", "machine", "versions", "measured_at", "rows"]
    assert (written["command"], written["machine"]) == ("python scripts/costs.py --json costs.json", {"cores": 2})
    assert written["versions"] == {**measures.versions(), "cuda": "13.0"}


def test_its_parts_make_the_rows_of_a_committed_record(monkeypatch):
    class Side:
        def __init__(self, *made):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def measure(self, name, seconds):
            return 2.0

    monkeypatch.setattr(benchmark, "Contestant", Side)
    monkeypatch.setattr(benchmark, "run", lambda *words, **until: Used(3.0, 1.1))
    monkeypatch.setattr(benchmark, "multiplies_bfloat16", lambda device: False)
    made = [row for part in benchmark.PARTS.values() for row in part()]
    recorded = json.loads(RECORD.read_text())["rows"]
    assert [(row.what, row.unit, row.target) for row in made] == [
        (row["what"], row["unit"], row["target"]) for row in recorded
    ]
    assert {row.figure for row in made if row.unit == "images/s"} == {1.0}
    assert {row.figure for row in made if row.unit == "GiB"} == {1.1}


def test_turns_alternate_and_give_medians():
    asked = []

    class Side:
        def __init__(self, speeds):
            self.speeds = iter(speeds)

        def measure(self, name, seconds):
            asked.append(name)
            return next(self.speeds)

    found = turns.in_turns({"a": (Side([1, 100, 3]), "first"), "b": (Side([9, 8, 7]), "second")}, 0.1)
    assert found == {"a": 3, "b": 8}
    assert asked == ["first", "second"] * 3


@pytest.mark.parametrize("workers", [2, 0])
def test_what_workers_prepared_between_turns_does_not_count(monkeypatch, workers):
    clock = [0.0]

    def steps():
        for _ in range(turns.AHEAD):  # prepared ahead, if there is who prepares
            yield 64
        while True:
            clock[0] += 0.25
            yield 64

    monkeypatch.setattr(turns.multiprocessing, "active_children", lambda: [object()] * workers)
    monkeypatch.setattr(turns.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(turns.time, "sleep", lambda seconds: clock.append(seconds))
    speed = turns.speed(steps(), 2.0)
    assert speed == (256 if workers else 256 + 3 * 64 / 2)
    assert clock[1:] == ([turns.AHEAD * 0.25] if workers else [])  # the other side waits for them


def test_steps_and_splines_can_be_measured():
    for made in (measures.steps("28", "fp32"), measures.splines()):
        assert {name: next(units) for name, units in made.items() if name != "product"}.keys() == made.keys() - {
            "product"
        }


@pytest.mark.parametrize("distortion", plain.DISTORTIONS)
def test_both_sides_make_images_of_the_same_shape(distortion):
    theirs = plain.Digits(distortion)[0][0]
    data = measures.build(measures.config(f"data={distortion}").data, "data")
    assert theirs.shape == data.image_shape
    assert theirs.dtype == torch.float32
    assert 0 <= theirs.min() < theirs.max() <= 1


def test_the_arithmetic_of_a_step_is_that_of_the_plain_network():
    # forward, gradients of weights and, from the second convolution on, of inputs; multiplication and addition
    width = CNN((1, 28, 28), 10).width
    first, second, last = 20**2 * 9**2 * width, 4**2 * 7**2 * width**2, 10 * 4 * width
    assert measures.step_flop(28)["cnn"] == 256 * 2 * (2 * first + 3 * second + 3 * last)


def test_our_side_trains_on_whole_batches():
    assert list(itertools.islice(measures.our_loops("r", "fcn")["fcn fast"], 2)) == [1024, 1024]
