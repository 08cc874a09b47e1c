"""A training that goes on from a checkpoint ends as if it had never stopped, to the last bit."""

import itertools
import json
import math
import signal
from contextlib import suppress

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from stn_bench.data.distorted import DistortedDigits
from stn_bench.training import run as training_run
from stn_bench.training.checkpoint import CheckpointError, Checkpoints
from stn_bench.training.divergence import Diverged
from stn_bench.training.interruption import Interruption
from stn_bench.training.json_lines import METRICS
from stn_bench.training.keeper import IntervalError, Intervals, Keeper
from stn_bench.training.logbook import Logbook
from stn_bench.training.muon import muon
from stn_bench.training.recipe import StepDecay, WarmupCosine
from stn_bench.training.run import run
from stn_bench.training.state import Training

STEPS = 23


class Stopped(Exception):
    """Ends a run as a power cut does: nothing of it runs any more."""


class StopAfter(Keeper):
    """Saves every so often, and stops after a step."""

    def __init__(self, checkpoints, every, last):
        super().__init__(checkpoints, Intervals(every_steps=every))
        self.last = last

    def after_step(self, training, logbook):
        super().after_step(training, logbook)
        if training.step == self.last:
            raise Stopped


def attempt(folder, parts, keeper=None, pictures=True):
    """A run from the last checkpoint in a folder, with `parts` as a new process would build them."""
    model, data, recipe = parts()
    keeper = keeper or Keeper(Checkpoints(folder, "f"))
    saved = keeper.checkpoints.load() if keeper.checkpoints else None
    steps = recipe.total_steps(data.train_count)
    with Logbook(folder, steps, saved["step"] if saved else 0, saved and saved["logbook"]) as logbook:
        if not pictures:
            logbook.picture = lambda *arguments: None  # most of the time of runs this short
        return run(model, data, recipe, 1, logbook, keeper, saved and saved["training"])


def equal(one, other):
    weights, others = one.model.state_dict(), other.model.state_dict()
    assert weights.keys() == others.keys()
    return (
        all(torch.equal(weights[name], others[name]) for name in weights)
        and torch.equal(one.evaluation.predictions, other.evaluation.predictions)
        and all(torch.equal(one.evaluation.theta[name], theta) for name, theta in other.evaluation.theta.items())
        and (one.steps, one.epochs, one.images_seen) == (other.steps, other.epochs, other.images_seen)
    )


def curves(folder):
    """The steps, in their order, of all that TensorBoard shows, and the scalars there."""
    # nothing purged: the files themselves hold each step once, in whatever order files of one second are read
    events = EventAccumulator(str(folder), {"scalars": 0, "histograms": 0, "images": 0}, purge_orphaned_data=False)
    events.Reload()
    tags = events.Tags()
    values = {tag: sorted((event.step, event.value) for event in events.Scalars(tag)) for tag in tags["scalars"]}
    values |= {tag: sorted(event.step for event in events.Histograms(tag)) for tag in tags["histograms"]}
    return values | {tag: sorted(event.step for event in events.Images(tag)) for tag in tags["images"]}


KINDS = {
    "SGD": {},
    "momentum": {"optimiser": lambda groups, lr: torch.optim.SGD(groups, lr=lr, momentum=0.9, nesterov=True)},
    "AdamW": {"optimiser": torch.optim.AdamW, "lr": 0.003, "schedule": WarmupCosine(0.2), "clip_norm": 1.0},
    "averaged": {"optimiser": torch.optim.AdamW, "lr": 0.003, "average_decay": 0.9},
    "bf16": {"optimiser": torch.optim.AdamW, "lr": 0.003, "precision": "bf16", "average_decay": 0.8},
    "Muon": {"optimiser": muon, "lr": 0.003, "localiser_lr_multiplier": 3.0},
    "decay": {"schedule": StepDecay(7, 0.5), "localiser_lr_multiplier": 0.1, "label_smoothing": 0.1},
}


@pytest.fixture
def parts_of(make_data, make_model, make_recipe):
    """A function of a kind to a function that builds model, data and recipe anew."""

    def of(kind, **data):
        return lambda: (make_model(), make_data(**data), make_recipe(steps=STEPS, **KINDS[kind]))

    return of


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_stopped_at_any_step_ends_as_if_it_had_not_been(tmp_path_factory, parts_of, kind):
    parts = parts_of(kind)
    whole = tmp_path_factory.mktemp("whole")
    expected = attempt(whole, parts, pictures=False)

    @settings(max_examples=8, deadline=None)
    @given(stops=st.lists(st.integers(1, STEPS), min_size=1, max_size=3), every=st.integers(1, 9))
    def at_any_step(stops, every):
        folder = tmp_path_factory.mktemp("stopped")
        for last in stops:
            # behind `last` already, it comes to its end
            with suppress(Stopped):
                attempt(folder, parts, StopAfter(Checkpoints(folder, "f"), every, last), pictures=False)
        assert equal(attempt(folder, parts, pictures=False), expected)
        assert (folder / METRICS).read_bytes() == (whole / METRICS).read_bytes()
        assert curves(folder) == curves(whole)

    at_any_step()


def test_validation_pictures_and_dropout_go_on_too(tmp_path, make_data, make_model, make_recipe):
    def parts():
        model = torch.nn.Sequential(make_model(), torch.nn.Dropout(0.3))
        return model, make_data(validation=64), make_recipe(steps=STEPS, optimiser=torch.optim.AdamW, lr=0.001)

    torch.manual_seed(5)
    expected = attempt(tmp_path / "whole", parts)
    for last in (4, 9, 10, 17):
        torch.manual_seed(5)
        with pytest.raises(Stopped):
            attempt(tmp_path / "stopped", parts, StopAfter(checkpoints_in(tmp_path / "stopped"), 2, last))
    torch.manual_seed(6)  # what it goes on with is in the checkpoint
    assert equal(attempt(tmp_path / "stopped", parts), expected)
    assert curves(tmp_path / "stopped") == curves(tmp_path / "whole")


def checkpoints_in(folder):
    folder.mkdir(exist_ok=True)
    return Checkpoints(folder, "f")


def test_every_step_is_told_once_after_any_number_of_stops(tmp_path, parts_of):
    parts = parts_of("AdamW")
    for last in (5, 12, 13, 21, 22):
        with pytest.raises(Stopped):
            attempt(tmp_path, parts, StopAfter(Checkpoints(tmp_path, "f"), 4, last))
    attempt(tmp_path, parts)
    steps = [json.loads(line)["step"] for line in (tmp_path / METRICS).read_text().splitlines()]
    assert steps == [10, 20, 23]
    shown = curves(tmp_path)
    assert [step for step, _ in shown["train/loss"]] == [10, 20, 23]
    assert [step for step, _ in shown["test/error"]] == [23]
    assert shown["transformer/theta"] == shown["transformer/frames"] == [10, 20, 23]


def test_a_stop_in_the_evaluation_costs_no_training(tmp_path, parts_of, monkeypatch):
    parts = parts_of("averaged")
    expected = attempt(tmp_path / "whole", parts)
    with monkeypatch.context() as patched:
        patched.setattr("stn_bench.training.run.evaluate", lambda *arguments: (_ for _ in ()).throw(Stopped))
        with pytest.raises(Stopped):
            attempt(tmp_path / "stopped", parts, Keeper(checkpoints_in(tmp_path / "stopped")))
    monkeypatch.setattr("stn_bench.training.run.train_steps", None)
    assert equal(attempt(tmp_path / "stopped", parts), expected)


def test_seconds_go_on_from_where_they_were(tmp_path, parts_of, monkeypatch):
    now = itertools.count(0.0, 1.0)
    monkeypatch.setattr("stn_bench.training.state.time.perf_counter", lambda: next(now))
    parts = parts_of("SGD")
    with pytest.raises(Stopped):
        attempt(tmp_path, parts, StopAfter(Checkpoints(tmp_path, "f"), 10, 22))
    before = Checkpoints(tmp_path, "f").load()["training"]["seconds"]
    assert before > 0
    assert attempt(tmp_path, parts).seconds > before


def test_neither_saves_nor_evaluation_nor_pictures_count(tmp_path, parts_of, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("stn_bench.training.state.time.perf_counter", lambda: clock[0])

    def taking(seconds, function):
        def slow(*arguments):
            clock[0] += seconds
            return function(*arguments)

        return slow

    monkeypatch.setattr(Checkpoints, "save", taking(100, Checkpoints.save))
    for name in ("evaluate", "look"):
        monkeypatch.setattr(f"stn_bench.training.run.{name}", taking(100, getattr(training_run, name)))
    monkeypatch.setattr("stn_bench.training.run.train_steps", taking(1, training_run.train_steps))
    keeper = Keeper(Checkpoints(tmp_path, "f"), Intervals(every_steps=5))
    outcome = attempt(tmp_path, parts_of("SGD", validation=64), keeper)
    assert outcome.seconds == math.ceil(outcome.epochs)  # each of them took one second to step through


class Counting(DistortedDigits):
    """Counts the digits it warps."""

    warped = 0

    def _distorted(self, digits, parameters):
        self.warped += len(digits)
        return super()._distorted(digits, parameters)


def test_batches_before_the_first_one_wanted_are_not_warped(make_data):
    data = make_data(Counting)
    all_of_them = list(data.training_batches(1, 3, 64))
    for first in range(11):
        data.warped = 0
        rest = list(data.training_batches(1, 3, 64, first))
        assert data.warped == 64 * (10 - first)
        for one, other in zip(rest, all_of_them[first:], strict=True):
            assert all(map(torch.equal, one, other))


def test_minutes_count_from_the_last_save(tmp_path, parts_of, monkeypatch):
    now = 0.0
    monkeypatch.setattr("stn_bench.training.keeper.time.monotonic", lambda: now)
    saved = []

    class EachStepTakes20Seconds(Keeper):
        def after_step(self, training, logbook):
            nonlocal now
            now += 20
            super().after_step(training, logbook)

    keeper = EachStepTakes20Seconds(Checkpoints(tmp_path, "f"), Intervals(every_minutes=2))
    monkeypatch.setattr(keeper.checkpoints, "save", lambda step, state: saved.append(step))
    attempt(tmp_path, parts_of("SGD"), keeper)
    assert saved == [6, 12, 18, 23]


@pytest.mark.parametrize("interval", [{"every_steps": 0}, {"every_minutes": -1.0}, {"every_minutes": float("nan")}])
def test_an_interval_that_never_comes_is_refused(interval):
    with pytest.raises(
        IntervalError, match=r"^checkpoint.every_(steps|minutes)=.* is not above 0: give null for never"
    ):
        Intervals(**interval)


class SignalledAt(Keeper):
    """Is sent a signal after a step."""

    last, number = 13, signal.SIGTERM

    def after_step(self, training, logbook):
        if training.step == self.last:
            signal.raise_signal(self.number)
        super().after_step(training, logbook)


def test_a_signal_ends_the_step_and_is_answered_once_all_is_saved(tmp_path, parts_of):
    expected = attempt(tmp_path / "whole", parts_of("AdamW"))
    folder = tmp_path / "stopped"

    def interrupted():
        with Interruption() as interruption:
            attempt(folder, parts_of("AdamW"), SignalledAt(checkpoints_in(folder), interruption=interruption))

    with pytest.raises(SystemExit, match="143"):
        interrupted()
    assert Checkpoints(folder, "f").load()["step"] == 13
    assert equal(attempt(folder, parts_of("AdamW")), expected)


def test_a_handler_that_returns_lets_the_run_go_on(tmp_path, parts_of):
    seen = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(Checkpoints(tmp_path, "f").load()["step"]))
    try:
        with Interruption() as interruption:
            keeper = Keeper(Checkpoints(tmp_path, "f"), interruption=interruption)
            interruption.requested = signal.SIGTERM
            assert attempt(tmp_path, parts_of("SGD"), keeper).steps == STEPS
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [1]


def test_a_diverged_state_is_never_saved(tmp_path, parts_of):
    checkpoints = Checkpoints(tmp_path, "f")

    class Poisoning(Keeper):
        def after_step(self, training, logbook):
            if training.step == 14:
                next(iter(training.model.parameters())).data.fill_(torch.nan)
            super().after_step(training, logbook)

    with pytest.raises(Diverged, match="diverged between steps 10 and 14: weights are not finite"):
        attempt(tmp_path, parts_of("SGD"), Poisoning(checkpoints, Intervals(every_steps=2)))
    assert [path.name for path in checkpoints.paths()] == ["checkpoint-10", "checkpoint-12"]


def test_progress_is_reported_with_each_save_and_epoch(tmp_path, parts_of):
    told = []
    keeper = Keeper(Checkpoints(tmp_path, "f"), Intervals(every_steps=6), report=lambda *words: told.append(words))
    attempt(tmp_path, parts_of("SGD"), keeper)
    assert [step for step, _ in told] == [6, 10, 12, 18, 20, 23, 23]
    assert all(0 < error <= 1 for _, error in told[:-1])


def test_a_state_that_does_not_fit_is_refused_with_what_to_do(make_data, make_model, make_recipe):
    data, recipe = make_data(), make_recipe()
    state = Training.begin(make_model(), recipe, data.train_count).state_dict()
    for broken in (
        {**state, "model": {}},
        {**state, "optimiser": {"param_groups": []}},
        {**state, "losses": None},
        {name: value for name, value in state.items() if name != "epoch"},
    ):
        with pytest.raises(CheckpointError, match=r"^the saved state does not fit this run, .* start over"):
            Training.begin(make_model(), recipe, data.train_count).load_state_dict(broken)
