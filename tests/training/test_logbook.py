"""What a run leaves for TensorBoard, and what it says."""

import logging

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from stn_bench.geometry import measure, pixel_grid
from stn_bench.training.evaluation import Warped
from stn_bench.training.logbook import Logbook
from stn_bench.training.run import run

STILL = pixel_grid(8, 8).expand(2, -1, -1, -1)


def warped(points):
    images = torch.rand(len(points), 1, 8, 8)
    return Warped(images, torch.zeros(len(points), 6), points, images)


def read(folder):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "histograms": 0})
    events.Reload()
    return events


def tell(logbook, points, step=1, name="transformer"):
    seen = warped(points)
    logbook.warped(step, name, seen, measure.summary(points))


def test_tensorboard_finds_the_numbers_the_thetas_and_the_pictures_of_a_run(
    tmp_path, make_data, make_model, make_recipe
):
    with Logbook(tmp_path, 20) as logbook:
        outcome = run(make_model(), make_data(validation=64), make_recipe(epochs=2), 1, logbook)
    events = read(tmp_path)
    tags = events.Tags()
    assert set(tags["scalars"]) == {
        "train/loss",
        "train/error",
        "train/learning_rate",
        "validation/error",
        "transformer/outside",
        "transformer/folded",
        "transformer/median_area",
    }
    assert tags["histograms"] == ["transformer/theta"]
    assert tags["images"] == ["transformer/frames"]
    for tag in tags["scalars"]:
        assert [event.step for event in events.Scalars(tag)] == [9, 18]
    assert events.Scalars("validation/error")[-1].value == pytest.approx(outcome.evaluation.error)
    assert events.Scalars("transformer/median_area")[0].value == pytest.approx(1, abs=0.3)
    assert events.Histograms("transformer/theta")[0].histogram_value.num == 64 * 6
    assert events.Images("transformer/frames")[0].width > 8 * 28


def test_a_run_on_the_test_digits_leaves_one_test_error(tmp_path, make_data, make_model, make_recipe):
    with Logbook(tmp_path, 20) as logbook:
        run(make_model(stn=False), make_data(), make_recipe(epochs=2), 1, logbook)
    events = read(tmp_path)
    assert set(events.Tags()["scalars"]) == {"train/loss", "train/error", "train/learning_rate", "test/error"}
    assert [event.step for event in events.Scalars("test/error")] == [20]


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (STILL + 3, "looks outside of the image at 100% of its points"),
        (STILL * torch.tensor([-1.0, 1.0]), "mirrors or folds the image at 100% of its points"),
    ],
    ids=["away", "mirrored"],
)
def test_a_lost_transformer_is_warned_about_by_name_once(tmp_path, caplog, points, words):
    with Logbook(tmp_path, 3) as logbook:
        for step in (1, 2, 3):
            tell(logbook, points, step, "left eye")
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == [
        f"at step 1 left eye {words}: lower recipe.localiser_lr_multiplier or set recipe.clip_norm if it stays so"
    ]


def test_each_of_several_lost_transformers_is_warned_about(tmp_path, caplog):
    with Logbook(tmp_path, 1) as logbook:
        for name in ("left eye", "right eye", "left eye"):
            tell(logbook, STILL + 1.5, name=name)
    assert [record.getMessage().split(" looks")[0] for record in caplog.records] == [
        "at step 1 left eye",
        "at step 1 right eye",
    ]


def test_a_transformer_that_looks_around_in_the_image_is_not_warned_about(tmp_path, caplog):
    with Logbook(tmp_path, 1) as logbook:
        tell(logbook, STILL)
        tell(logbook, 0.5 * STILL + 0.4)
        tell(logbook, 1.4 * STILL)  # a third of its points outside
    assert not caplog.records


def test_where_no_terminal_looks_there_are_lines_and_no_bar(tmp_path, capsys):
    with Logbook(tmp_path, 20) as logbook:
        logbook.steps(10)
        logbook.line("epoch 1/2")
    assert capsys.readouterr() == ("", "epoch 1/2\n")


def test_on_a_terminal_a_bar_counts_steps(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Logbook(tmp_path, 20) as logbook:
        logbook.steps(10)
        logbook.line("epoch 1/2")
    said = capsys.readouterr().err
    assert "10/20" in said
    assert "epoch 1/2\n" in said


def test_what_was_told_before_an_error_is_kept(tmp_path):
    def fail():
        with Logbook(tmp_path, 20) as logbook:
            logbook.scalars(3, {"train/loss": 0.5})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [(event.step, event.value) for event in read(tmp_path).Scalars("train/loss")] == [(3, 0.5)]
