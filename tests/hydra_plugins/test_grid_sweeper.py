"""A sweep over several grids: which jobs it has, and what it says of them."""

import os
from types import SimpleNamespace

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from hydra_plugins.stn_grid_sweeper import GridSweeper, SweepFailed
from hydra_plugins.stn_grid_sweeper.grid_sweeper import expand
from hydra_plugins.stn_grid_sweeper.summary import End, end_of, summary

GRIDS = [
    {"seed": [1, 2], "model": ["fcn", "cnn"]},
    {"seed": [1, 2], "model": ["fcn_stn"], "transform": ["affine", "tps"]},
]


def expanded(*words, grids=GRIDS):
    return expand(grids, OverridesParser.create().parse_overrides(list(words)))


def job_return(status, value):
    done = JobReturn(status=status)
    done.return_value = value
    return done


class Launcher:
    """Notes the jobs it is given; a job with a word in `failing` fails, one with a word in `stopped` is interrupted."""

    def __init__(self, failing, stopped):
        self.failing, self.stopped, self.jobs = failing, stopped, []

    def launch(self, jobs, initial_job_idx):
        self.jobs += jobs
        for job in jobs:
            if set(job) & set(self.failing):
                yield job_return(JobStatus.FAILED, ValueError(f"no {job[0]}"))
            elif set(job) & set(self.stopped):
                yield job_return(JobStatus.FAILED, KeyboardInterrupt("saved at step 3"))
            else:
                yield job_return(JobStatus.COMPLETED, "done  well")


def folder(job):
    """As if run folders were named by model, transform and seed."""
    return {"subdir": "/".join(word for word in job if word.partition("=")[0] in ("model", "transform", "seed"))}


def sweep(*words, grids=GRIDS, failing=(), stopped=()):
    sweeper = GridSweeper(grids)
    loader = SimpleNamespace(
        load_sweep_config=lambda config, job: OmegaConf.create({"hydra": {"sweep": folder(job)}, "words": job})
    )
    sweeper.hydra_context, sweeper.config = SimpleNamespace(config_loader=loader), OmegaConf.create()
    sweeper.launcher = Launcher(failing, stopped)
    return sweeper, lambda: sweeper.sweep(list(words))


def test_without_grids_the_command_line_is_the_sweep():
    assert expanded("seed=1,2", "model=cnn", grids=[]) == [["seed=1,2", "model=cnn"]]


def test_each_grid_is_a_product_of_its_own():
    assert expanded() == [
        ["seed=1,2", "model=fcn,cnn"],
        ["seed=1,2", "model=fcn_stn", "transform=affine,tps"],
    ]


@pytest.mark.parametrize("word", ["seed=3", "seed=3,4", "seed=range(5)"])
def test_a_key_in_which_the_grids_agree_is_replaced(word):
    assert expanded(word) == [["model=fcn,cnn", word], ["model=fcn_stn", "transform=affine,tps", word]]


def test_a_key_that_no_grid_has_is_added():
    assert [words[-1] for words in expanded("recipe=smoke")] == ["recipe=smoke"] * 2


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["model=cnn"], [["seed=1,2", "model=cnn"]]),
        (["model=cnn,fcn_stn"], [["seed=1,2", "model=cnn"], ["seed=1,2", "model=fcn_stn", "transform=affine,tps"]]),
        (["transform=tps"], [["seed=1,2", "model=fcn_stn", "transform=tps"]]),
        (["transform=tps", "seed=7"], [["model=fcn_stn", "transform=tps", "seed=7"]]),
        (["model=cnn", "transform=tps"], []),
    ],
)
def test_a_key_in_which_the_grids_differ_is_narrowed(words, left):
    assert expanded(*words) == left


@pytest.mark.parametrize("word", ["model=resnet", "model=cnn,resnet", "model=cnn,resnet transform=tps"])
def test_a_value_that_no_grid_has_is_refused_by_name(word):
    with pytest.raises(SweepFailed, match=r"^model=resnet is in none of the sweep's grids, which have fcn, cnn, fcn_"):
        expanded(*word.split())


@pytest.mark.parametrize("grids", [GRIDS, []])
def test_several_sweeps_are_refused(grids):
    with pytest.raises(SweepFailed, match="several sweeps are no sweep: type a command for each"):
        expanded("sweep=distorted_mnist,bounds", "recipe=smoke", grids=grids)


@pytest.mark.parametrize("word", ["decay=1", "decay=1.0", "decay=1,1.0"])
def test_values_are_numbers_before_they_are_words(word):
    parser = OverridesParser.create()
    given = parser.parse_overrides([word])
    assert expand([{"decay": [0.3, 1.0]}, {"decay": ["x"]}], given) == [["decay=1.0"]]


def test_a_grid_is_not_changed_by_what_is_made_of_it():
    before = [dict(grid) for grid in GRIDS]
    expanded("seed=3", "model=cnn")
    assert before == GRIDS


def test_the_jobs_of_all_grids_are_launched_together_and_summed_up(capsys):
    sweeper, run = sweep("recipe=smoke")
    assert len(run()) == 8
    parts = ["model=fcn", "model=cnn", "model=fcn_stn transform=affine", "model=fcn_stn transform=tps"]
    wanted = [f"seed={seed} {part} recipe=smoke" for seed in (1, 2) for part in parts]
    assert sorted(map(" ".join, sweeper.launcher.jobs)) == sorted(wanted)
    assert capsys.readouterr().err == "8 runs: 8 done\n"


def test_failed_jobs_are_told_with_their_reasons_and_the_others_counted(capsys):
    sweeper, run = sweep(failing=["model=cnn"])
    with pytest.raises(SweepFailed, match=r"^2 of 8 runs failed, see above; the same command retries them$"):
        run()
    assert len(sweeper.launcher.jobs) == 8
    assert capsys.readouterr().err.splitlines() == [
        "failed  seed=1 model=cnn  ValueError: no seed=1",
        "failed  seed=2 model=cnn  ValueError: no seed=2",
        "8 runs: 6 done, 2 failed",
    ]


def test_a_sweep_that_was_interrupted_says_what_was_and_ends_as_ctrl_c_does(capsys):
    _, run = sweep(stopped=["seed=2"])
    with pytest.raises(KeyboardInterrupt):
        run()
    assert capsys.readouterr().err.splitlines()[-1] == "8 runs: 4 done, 4 interrupted"


FOLDER = OmegaConf.create({"hydra": {"runtime": {"output_dir": os.path.abspath("runs/seed1")}}})


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        ("done  test error 1.00 %", "done", "test error 1.00 %"),
        ("skipped  test error 1.00 %", "skipped", "test error 1.00 %"),
        ("elsewhere  process 12 on host", "elsewhere", "process 12 on host"),
        (0.25, "done", "0.25"),
        (None, "done", "None"),
        (KeyboardInterrupt("not started"), "not started", "not started"),
        (KeyboardInterrupt(), "interrupted", ""),
        (SweepFailed("mend\nthis"), "failed", "mend this"),
        (ValueError("a bug"), "failed", "ValueError: a bug"),
    ],
)
def test_how_a_job_ended_is_read_off_what_it_returned(value, kind, words):
    result = job_return(JobStatus.FAILED if isinstance(value, BaseException) else JobStatus.COMPLETED, value)
    assert end_of(["seed=1", "model=cnn"], result) == (kind, "seed=1 model=cnn", words, None)
    result.hydra_cfg = FOLDER
    assert end_of(["seed=1"], result).folder == os.path.join("runs", "seed1")


def test_the_summary_names_the_jobs_that_need_another_look_and_counts_all():
    kinds = ["done", "failed", "skipped", "done", "elsewhere", "not started"]
    ends = [End(kind, f"seed={i}", "why", "folder") for i, kind in enumerate(kinds)]
    assert summary(ends).splitlines() == [
        "elsewhere  seed=4  why  folder",
        "failed  seed=1  why  folder",
        "6 runs: 2 done, 1 skipped, 1 elsewhere, 1 not started, 1 failed",
    ]


def test_jobs_that_would_share_a_folder_are_refused_before_one_is_launched():
    sweeper, run = sweep("recipe.steps=5,6", "model=cnn", "seed=1")
    with pytest.raises(
        SweepFailed,
        match=r"^model=cnn recipe.steps=5 seed=1 and model=cnn recipe.steps=6 seed=1 would be one run folder, "
        r"model=cnn/seed=1: name them apart, as by 'tag=\$\{recipe.steps\}', which",
    ):
        run()
    assert sweeper.launcher.jobs == []


@pytest.mark.parametrize(
    "grids",
    [[{"model": ["cnn"], "steps": [5]}, {"model": ["cnn"]}], [{"model": ["cnn"]}, {"model": ["cnn"], "steps": [5]}]],
)
def test_so_are_they_where_one_says_less_than_the_other(grids):
    _, run = sweep(grids=grids)
    with pytest.raises(SweepFailed, match=r"'tag=\$\{steps\}'"):
        run()


@pytest.mark.parametrize("word", ["recipe/optimiser=adamw,muon", "+model.sizes=[1],[2]"])
def test_where_no_tag_can_be_made_of_what_differs_a_command_each_is_advised(word):
    _, run = sweep(word, "model=cnn", "seed=1")
    with pytest.raises(SweepFailed, match="type a command for each, with a tag=NAME of its own"):
        run()


def test_the_same_job_twice_is_no_other_run():
    sweeper, run = sweep(grids=[GRIDS[0], GRIDS[0]])
    assert len(run()) == len(sweeper.launcher.jobs) == 8


def test_a_sweep_of_which_nothing_is_left_is_an_error():
    sweeper, run = sweep("model=cnn", "transform=tps")
    with pytest.raises(SweepFailed, match="the sweep has no jobs: the command line leaves none of its grids' values"):
        run()
    assert sweeper.launcher.jobs == []
