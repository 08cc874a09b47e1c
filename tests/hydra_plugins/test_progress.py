"""What a sweep says of itself while it runs."""

import dataclasses
import io

import pytest

from hydra_plugins.stn_local_launcher._progress import Progress, duration, time_left
from stn_bench.results.status import Status

STATUS = Status(state="running", step=40, steps=160, error=0.125, host="here", pid=1, started_at="", updated_at="")


@pytest.mark.parametrize(
    ("to_do", "worked", "seconds", "left"),
    [(10, 0, 60, None), (10, 2, 60, 300), (9.5, 2.5, 50, 190), (0.75, 0.25, 10, 30), (0, 3, 9, 0)],
)
def test_the_time_left_goes_by_the_pace_so_far(to_do, worked, seconds, left):
    assert time_left(to_do, worked, seconds) == left


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (89, "89 s"), (90, "2 min"), (7000, "117 min"), (7300, "2 h 2 min")]
)
def test_a_time_is_as_exact_as_a_guess_should_be(seconds, words):
    assert duration(seconds) == words


def test_a_run_that_was_skipped_says_nothing_of_the_pace(monkeypatch):
    with Progress(4) as progress:
        monkeypatch.setattr(progress, "_seconds", lambda: 10.0)
        progress.end("seed=1", "skipped", worked=False)
        assert progress.line([], {}) == "1/4 runs, 3 to go"
        progress.end("seed=2", "done", worked=True)
        assert progress.line([("seed=3", None)], {}) == "2/4 runs, 1 to go, 20 s left | seed=3"


def test_what_was_done_of_a_run_before_the_sweep_says_nothing_of_the_pace(monkeypatch):
    now = dataclasses.replace(STATUS, step=80)
    with Progress(2) as progress:
        monkeypatch.setattr(progress, "_seconds", lambda: 10.0)
        progress.show([("seed=1", STATUS)])  # goes on after a quarter
        assert progress.line([("seed=1", now)], {"seed=1": 0.5}).startswith("0/2 runs, 1 to go, 60 s left")
        progress.end("seed=1", "done", worked=True)  # three quarters of a run in ten seconds
        assert progress.line([], {}) == "1/2 runs, 1 to go, 13 s left"


def test_steps_that_a_run_lost_are_not_taken_for_done(monkeypatch):
    with Progress(2) as progress:
        monkeypatch.setattr(progress, "_seconds", lambda: 10.0)
        progress.show([("seed=1", dataclasses.replace(STATUS, step=120))])  # of its last attempt
        progress.show([("seed=1", dataclasses.replace(STATUS, step=0))])
        assert progress.line([("seed=1", STATUS)], {"seed=1": 0.25}).startswith("0/2 runs, 1 to go, 70 s left")


def test_running_runs_are_shown_with_step_and_error(monkeypatch):
    with Progress(4) as progress:
        monkeypatch.setattr(progress, "_seconds", lambda: 10.0)
        running = [("seed=1", STATUS), ("seed=2", dataclasses.replace(STATUS, error=None))]
        assert (
            progress.line(running, {"seed=1": 0.25, "seed=2": 0.25})
            == "0/4 runs, 2 to go, 70 s left | seed=1 40/160 12.5 % | seed=2 40/160"
        )


def test_without_a_terminal_there_is_a_line_per_finished_run_and_nothing_else(capsys):
    with Progress(2) as progress:
        progress.show([("seed=1", STATUS)])
        progress.end("seed=1", "done  well", worked=True)
        progress.show([])
    assert capsys.readouterr() == ("", "[1/2] seed=1  done  well\n")


def test_on_a_terminal_one_line_is_kept_up_to_date(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with Progress(4) as progress:
        progress.end("seed=1", "done", worked=True)
        progress.show([("seed=2", STATUS)])
        progress.show([("seed=2", STATUS)], stopping=True)
    shown = terminal.getvalue().split("\r")
    assert any("[1/4] seed=1  done\n" in line for line in shown)
    assert any("stopping, waiting for 1 to end" in line for line in shown)
    assert any("31%|" in line and "seed=2 40/160 12.5 %" in line for line in shown)
