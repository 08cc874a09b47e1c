"""`metrics.jsonl`: one line a step, and the way back to what a checkpoint knows."""

import json

import pytest

from stn_bench.training.json_lines import JsonLines


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.jsonl"


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_numbers_of_one_step_are_one_object(path):
    metrics = JsonLines(path)
    metrics.add(10, {"train/loss": 0.5})
    metrics.add(10, {"outside": 0.25})
    metrics.add(20, {"train/loss": 0.1})
    metrics.add(20, {"test/error": 0.125})
    assert lines(path) == [
        {"step": 10, "train/loss": 0.5, "outside": 0.25},
        {"step": 20, "train/loss": 0.1, "test/error": 0.125},
    ]


def test_what_is_not_finite_is_null_as_json_has_no_such_number(path):
    JsonLines(path).add(10, {"train/loss": float("nan"), "outside": float("inf")})
    assert lines(path) == [{"step": 10, "train/loss": None, "outside": None}]


def test_a_new_run_starts_an_empty_file(path):
    path.write_text("old\n")
    JsonLines(path)
    assert path.read_bytes() == b""


@pytest.mark.parametrize("known", range(5))
def test_going_back_and_telling_again_gives_the_same_bytes(tmp_path, path, known):
    told = [(10, {"a": 0.1}), (10, {"b": 0.2}), (20, {"a": 0.3}), (20, {"b": 0.4}), (20, {"c": 0.5})]
    metrics = JsonLines(path)
    for step, values in told[:known]:
        metrics.add(step, values)
    position = json.loads(json.dumps(metrics.position()))
    for step, values in told[known:]:
        metrics.add(step, values)
    whole = path.read_bytes()
    again = JsonLines(path, position)
    for step, values in told[known:]:
        again.add(step, values)
    assert path.read_bytes() == whole
    assert [line["step"] for line in lines(path)] == [10, 20]


def test_a_file_that_is_gone_or_shorter_is_begun_again(path):
    metrics = JsonLines(path)
    metrics.add(10, {"a": 0.1})
    metrics.add(20, {"a": 0.2})
    position = metrics.position()
    path.unlink()
    JsonLines(path, position).add(30, {"a": 0.3})
    assert [line["step"] for line in lines(path)] == [20, 30]
