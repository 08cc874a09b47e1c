"""Jobs in processes of their own: one that dies is one that failed, and a sweep can be stopped."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

import cloudpickle
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobStatus
from hydra.types import HydraContext, RunMode

from hydra_plugins.stn_jobs._failure import failed
from hydra_plugins.stn_local_launcher import LocalLauncher, _pool, _process
from hydra_plugins.stn_local_launcher._process import JobProcess, death
from hydra_plugins.stn_local_launcher._slots import SlotError
from stn_bench.results.status import Status, write_status

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the jobs' processes cannot import this file


def seen(cfg):
    """What a job finds around it, as its return value."""
    names = ("OMP_NUM_THREADS", "STN_TEST")
    return {"seed": cfg.seed, "pid": os.getpid(), "torch": "torch" in sys.modules} | {
        n: os.environ.get(n) for n in names
    }


def fate(cfg):
    """Ends as its seed says."""
    from stn_bench.errors import UserError

    Path(f"ran{cfg.seed}").touch()
    if cfg.seed == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    if cfg.seed == 3:
        raise ValueError("two\nlines")
    if cfg.seed == 4:
        print("the last words", file=sys.stderr, flush=True)
        os._exit(7)
    if cfg.seed == 5:
        raise UserError("mend this")
    if cfg.seed == 6:
        os.kill(os.getpid(), signal.SIGSEGV)
    return "done"


def busy(cfg):
    """Counts how many of its kind run at the same time, once as many as asked for have begun, however slowly."""
    mine = Path(f"busy{cfg.seed}")
    mine.touch()
    Path(f"begun{cfg.seed}").touch()
    while len(list(Path().glob("begun*"))) < int(os.environ["TOGETHER"]):
        time.sleep(0.05)
    time.sleep(0.5)  # for one too many to show
    together = len(list(Path().glob("busy*")))
    mine.unlink()
    return together


@pytest.fixture
def launch(tmp_path, monkeypatch):
    """A function that runs a task for each seed, in an empty folder, on this many places."""
    from hydra import initialize_config_module
    from hydra._internal.callbacks import Callbacks

    from stn_bench import schema

    monkeypatch.chdir(tmp_path)
    schema.register()

    def run(task, *seeds, jobs=2, **settings):
        with initialize_config_module("stn_bench.configs", version_base="1.3"):
            loader = GlobalHydra.instance().config_loader()
            words = ["hydra.mode=MULTIRUN"]
            config = loader.load_configuration("train", words, run_mode=RunMode.MULTIRUN)
            launcher = LocalLauncher(jobs=jobs, device="cpu", **settings)
            launcher.setup(
                hydra_context=HydraContext(config_loader=loader, callbacks=Callbacks(config)),
                task_function=task,
                config=config,
            )
            return launcher.launch([[f"seed={seed}", "recipe=smoke"] for seed in seeds], initial_job_idx=0)

    return run


def test_each_job_runs_in_its_own_process_under_the_environment_that_it_was_given(launch, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    results = launch(seen, 5, 3, 4, environment={"STN_TEST": "yes"})
    values = [result.return_value for result in results]
    assert [value["seed"] for value in values] == [5, 3, 4]  # in the order of the jobs
    assert len({value["pid"] for value in values} | {os.getpid()}) == 4
    assert {value["OMP_NUM_THREADS"] for value in values} == {"1"}
    assert {value["STN_TEST"] for value in values} == {"yes"}
    assert not any(value["torch"] for value in values), "a job must find its environment before torch does"
    assert "STN_TEST" not in os.environ


def test_what_the_environment_is_given_comes_before_what_a_job_would_have(launch):
    (result,) = launch(seen, 5, environment={"OMP_NUM_THREADS": 3})
    assert result.return_value["OMP_NUM_THREADS"] == "3"


@pytest.mark.parametrize("value", [None, True, [1]])
def test_an_environment_holds_texts_and_numbers(value):
    with pytest.raises(SlotError, match=r"hydra\.launcher\.environment\.A=.*: give a text or a number"):
        LocalLauncher(environment={"A": value})


def test_a_job_that_dies_or_raises_is_one_failed_job(launch, capfd):
    results = launch(fate, 1, 2, 3, 4, 5, 6, 7)
    completed = [result.status == JobStatus.COMPLETED for result in results]
    assert completed == [True, False, False, False, False, False, True]
    assert [str(result._return_value) for result in results[1:6]] == [
        "killed by SIGKILL (often: out of memory)",
        "ValueError: two lines",
        "its process exited with code 7 before the run was done",
        "mend this",
        "killed by SIGSEGV",
    ]
    folders = [os.path.relpath(result.hydra_cfg.hydra.runtime.output_dir) for result in results]
    assert folders == [f"outputs/runs/r/cnn_stn-affine/smoke/seed{seed}" for seed in range(1, 8)]
    said = capfd.readouterr().err
    assert "\nthe last words\n" in said
    assert said.count("Traceback") == 1, "a bug deserves one, a mistake of the user's does not"
    assert "[7/7] " in said


@pytest.mark.parametrize("jobs", [1, 3])
def test_as_many_jobs_run_at_once_as_was_asked(launch, jobs):
    results = launch(busy, *range(4), jobs=jobs, environment={"TOGETHER": str(jobs)})
    assert max(result.return_value for result in results) == jobs


def test_a_job_that_cannot_have_its_folder_is_one_failed_job(launch):
    folder = Path("outputs/runs/r/cnn_stn-affine/smoke")
    folder.mkdir(parents=True)
    (folder / "seed8").touch()
    first, second = launch(fate, 8, 1)
    assert str(first._return_value).startswith("FileExistsError: ")
    assert second.return_value == "done"


def reports(cfg):
    """Says how far it is, and waits to be seen."""
    from hydra.core.hydra_config import HydraConfig

    folder = HydraConfig.get().runtime.output_dir
    numbers = {"step": 3, "steps": 4, "error": 0.5, "host": "here", "pid": os.getpid()}
    time.sleep(0.8)
    write_status(folder, Status(state="running", **numbers, started_at="", updated_at=""))
    while not Path(folder, "seen").exists():
        time.sleep(0.01)
    return "done"


def test_the_status_of_a_running_job_is_shown_and_one_of_another_process_is_not(launch, monkeypatch):
    stale = Path("outputs/runs/r/cnn_stn-affine/smoke/seed2")
    stale.mkdir(parents=True)
    other = Status(state="running", step=1, steps=9, host="here", pid=1, started_at="", updated_at="")
    write_status(stale, other)
    shown = set()

    def show(self, running, stopping):
        for name, status in running:
            if status:
                shown.add((name, status.step))
                (stale.parent / name.replace("=", "") / "seen").touch()

    monkeypatch.setattr(_pool.Progress, "show", show)
    launch(reports, 1, 2)
    assert shown == {("seed=1", 3), ("seed=2", 3)}


def leaves(cfg):
    os._exit(128 + signal.SIGTERM)  # as a run does that a signal asked to leave, once its state is saved


def test_a_job_that_was_told_to_stop_is_interrupted_and_not_failed(launch):
    result = launch(leaves, 1)[0]
    assert isinstance(result._return_value, KeyboardInterrupt)
    assert str(result._return_value) == "stopped by SIGTERM, its state saved"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-11, "killed by SIGSEGV"),
        (-99, "killed by signal 99"),
        (3, "its process exited with code 3 before "),
        (143, "stopped by SIGTERM, its state saved"),
    ],
)
def test_an_exit_code_is_put_in_words(code, words):
    assert death(code).startswith(words)


class Unaware:
    """The process of a job that was started at the moment at which the sweep was told to stop."""

    def __init__(self):
        self.told = False

    def terminate(self):
        self.told = True

    def ended(self):
        assert self.told, "it will run to its end"
        return True

    def result(self):
        return failed(KeyboardInterrupt("saved"))

    def last_words(self):
        return ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
def test_a_job_that_is_just_being_started_is_told_to_stop_too(number, capsys):
    def start(index, slot):
        signal.raise_signal(number)  # to this thread: it is there when this returns
        return Unaware()

    before = signal.signal(number, signal.default_int_handler)  # in the background of a shell Ctrl-C is ignored
    try:
        results = _pool.run_all(["first", "second"], start, [{}])
    finally:
        signal.signal(number, before)
    assert [str(result._return_value) for result in results] == ["saved", "not started"]


@pytest.mark.parametrize(
    ("code", "said"), [(-signal.SIGINT, ""), (143, ""), (1, "Traceback"), (-signal.SIGSEGV, "Traceback")]
)
def test_a_job_that_is_told_to_stop_in_the_midst_of_an_import_has_no_last_words(tmp_path, monkeypatch, code, said):
    monkeypatch.setattr(_process.subprocess, "Popen", lambda *_, stdout, **__: SimpleNamespace(returncode=code))
    process = JobProcess(b"", {}, tmp_path, tmp_path / "scratch")
    process.words.write_text("Traceback (most recent call last):\n  in an import")
    assert process.last_words().split(" ")[0] == said


SLOW = """
    import os, signal, sys, time
    from pathlib import Path

    import hydra
    from hydra.core.plugins import Plugins

    from hydra_plugins.stn_grid_sweeper import GridSweeper
    from hydra_plugins.stn_local_launcher import LocalLauncher
    from stn_bench import schema

    schema.register()
    for plugin in (GridSweeper, LocalLauncher):
        Plugins.instance().register(plugin)


    def slow(cfg):
        stubborn = cfg.tag == "stubborn"
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, (lambda *_: None) if stubborn else stop)
        Path(f"started{cfg.seed}").touch()
        while True:
            time.sleep(1)


    def stop(number, frame):
        time.sleep(2)  # as long as saving takes
        Path(f"saved-{signal.Signals(number).name}-{os.getpid()}").touch()
        raise KeyboardInterrupt("saved at step 3")


    if __name__ == "__main__":
        signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs go without
        try:
            hydra.main(version_base="1.3", config_path="pkg://stn_bench.configs", config_name="train")(slow)()
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            sys.exit(130)
"""


@pytest.fixture
def slow_sweep(tmp_path, monkeypatch):
    """A function that starts a sweep of three slow jobs, two at once, and returns its process once both run.

    No stream of it is a terminal, unless `terminal`.
    """
    monkeypatch.chdir(tmp_path)
    Path("slow.py").write_text(textwrap.dedent(SLOW))
    started, descriptors = [], []

    def start(*words, terminal=False):
        command = [sys.executable, "slow.py", "-m", "seed=1,2,3", "hydra.launcher.jobs=2", "device=cpu", *words]
        environment = os.environ | {"HYDRA_FULL_ERROR": "1"}
        ends = os.openpty() if terminal else ()
        process = subprocess.Popen(
            command,
            stdin=ends[1] if terminal else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=environment,
        )
        descriptors.extend(ends)
        started.append(process)
        while len(list(Path().glob("started*"))) < 2:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.stderr.close()
        process.wait()
    for descriptor in descriptors:
        os.close(descriptor)


def leave(process):
    """What the sweep says until it leaves, and how many jobs saved."""
    said = process.communicate()[1]
    return said, len(list(Path().glob("saved-*")))


def gone(group):
    """Whether all processes of a group are, soon."""
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_ctrl_c_lets_running_jobs_save_starts_no_more_and_sums_up(slow_sweep):
    process = slow_sweep(terminal=True)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the sweep and its jobs
    said, saved = leave(process)
    assert process.returncode == 130
    assert saved == 2
    assert not Path("started3").exists()
    assert [line.split("  ")[:3] for line in said.splitlines()[-4:-2]] == [
        ["interrupted", f"seed={seed} device=cpu", "saved at step 3"] for seed in (1, 2)
    ]
    assert said.endswith("3 runs: 2 interrupted, 1 not started\ninterrupted\n")
    assert "Traceback" not in said


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_ctrl_c_that_ends_who_reads_the_words_too_lets_running_jobs_save(slow_sweep):
    process = slow_sweep(terminal=True)
    process.stderr.close()  # as of `2>&1 | tee log`
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait() == 130
    assert len(list(Path().glob("saved-*"))) == 2


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_to_the_sweep_alone_is_passed_on_to_its_jobs(slow_sweep, number):
    process = slow_sweep()
    process.send_signal(number)
    said, saved = leave(process)
    assert process.returncode == 130
    assert saved == 2
    assert re.search(r"^stopping: waiting for [12] to save and end$", said, re.MULTILINE)
    assert {path.name.split("-")[1] for path in Path().glob("saved-*")} == {"SIGTERM"}
    assert said.endswith("3 runs: 2 interrupted, 1 not started\ninterrupted\n")


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_a_second_ctrl_c_ends_jobs_that_do_not_stop(slow_sweep):
    process = slow_sweep("tag=stubborn", terminal=True)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None, "the first is not to end it: the jobs are being waited for"
    before = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    leave(process)
    assert process.returncode == 130
    assert time.monotonic() - before < 15
    assert gone(process.pid), "a process of the sweep is left"
