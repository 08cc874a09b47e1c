"""`stn-train`: what a run leaves behind, what happens the second time, and what is refused in one sentence."""

import datetime
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from stn_bench import load_run
from stn_bench.cli.build import ConfigError, build
from stn_bench.cli.device import choose_device
from stn_bench.data.mnist import mnist_folder
from stn_bench.data.sources import load_mnist
from stn_bench.models import parameter_count
from stn_bench.results.predictions import wrong_predictions
from stn_bench.results.record import read_record
from stn_bench.results.statistics import wilson_interval
from stn_bench.training.precision import resolved

SMOKE = ("recipe=smoke", "recipe.batch_size=64")
FCN = (*SMOKE, "model=fcn")
SMALL = (*FCN, "model.units=32")  # for runs whose network is of no interest
FCN_FOLDER = Path("outputs/runs/r/fcn-plain/smoke/seed1")


def files(folder):
    """Each file below a folder with its content and the time of its last change."""
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in Path(folder).rglob("*") if path.is_file()}


def nothing_left():
    return not [path for path in Path().rglob("*") if path.is_file() or path.name.startswith("seed")]


def rebuilt(folder):
    """The network that a run folder describes, with the weights in it."""
    config = OmegaConf.load(folder / "config.yaml")
    model = build(config.model, "model", image_shape=(1, 28, 28), classes=10)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model.eval(), config


def test_a_run_leaves_its_record_predictions_weights_and_config(stn_train):
    said = stn_train("recipe=smoke", "model=fcn")
    assert said.code == 0, said.err
    assert said.out == ""
    assert sorted(re.sub("tfevents.*", "tfevents", path.name) for path in FCN_FOLDER.iterdir()) == [
        ".lock",
        "config.yaml",
        "events.out.tfevents",
        "metrics.jsonl",
        "model.safetensors",
        "predictions.npz",
        "result.json",
        "status.json",
    ]
    record = read_record(FCN_FOLDER / "result.json")
    labels = load_mnist().test_labels
    predictions = np.load(FCN_FOLDER / "predictions.npz")["predictions"]
    assert record.errors == int((predictions != labels).sum())
    assert np.array_equal(wrong_predictions(record), predictions != labels)
    assert 0.2 < record.error == record.errors / 10_000 < 0.8
    assert record.wilson_95 == wilson_interval(record.errors, 10_000)
    assert record.choices == {"model": "fcn", "transform": None, "data": "r", "recipe": "smoke", "tag": None}
    assert (record.seed, record.evaluated_on, record.images, record.precision) == (
        1,
        "test",
        10_000,
        resolved("auto", choose_device("auto")),
    )
    assert (record.steps, record.images_seen, record.epochs) == (20, 20 * 256, 20 / 234)
    assert record.images_per_second == pytest.approx(record.images_seen / record.seconds)
    assert record.device.startswith("CPU, ") or torch.cuda.is_available()
    assert record.data_sha256 == load_mnist().sha256
    assert record.warp == {}
    assert record.versions["stn-bench"] == version("stn-bench")
    assert record.versions["torch"] == version("torch")
    assert record.git_commit is None or re.fullmatch(r"[0-9a-f]{40}\+?", record.git_commit)
    age = datetime.datetime.now(datetime.timezone.utc) - datetime.datetime.fromisoformat(record.finished_at)
    assert datetime.timedelta(0) <= age + datetime.timedelta(seconds=1) < datetime.timedelta(minutes=2)
    model, config = rebuilt(FCN_FOLDER)
    assert record.config == OmegaConf.to_container(config)
    assert record.parameters == parameter_count(model) <= 400_000
    data = build(config.data, "data")
    assert record.choices["model"] in said.err
    found = torch.cat([model(images).argmax(1) for images, _ in data.evaluation_batches(1000)])
    assert (found.numpy() == predictions).mean() > 0.99  # evaluated in bfloat16
    assert f"{100 * record.error:.2f} %" in said.err.splitlines()[-1]


@pytest.mark.parametrize("native", [True, False])
def test_who_asks_for_slow_products_is_told(stn_train, few_files, monkeypatch, native):
    monkeypatch.setattr("stn_bench.cli.job.multiplies_bfloat16", lambda device: native)
    said = stn_train(*SMOKE, "model=fcn", "data=r", "recipe.precision=bf16", "recipe.steps=1")
    assert said.code == 0, said.err
    assert ("recipe.precision=auto takes the faster" in said.err) == (not native)
    assert read_record(FCN_FOLDER / "result.json").precision == "bf16"


def test_a_run_on_undone_digits_sees_them_at_their_own_size_and_learns_faster(stn_train):
    words = (*SMOKE, "model=fcn", "data=rts", "data.validation=1000")
    said = stn_train(*words), stn_train(*words, "data.undone=true", "tag=oracle")
    assert [one.code for one in said] == [0, 0], said
    distorted, undone = (
        read_record(Path(f"outputs/runs/rts/fcn-plain/smoke/seed1{tag}/result.json")) for tag in ("", "-oracle")
    )
    assert undone.config["data"]["undone"] is True
    assert undone.choices["tag"] == "oracle"
    model, _ = rebuilt(Path("outputs/runs/rts/fcn-plain/smoke/seed1-oracle"))
    assert model(torch.zeros(1, 1, 28, 28)).shape == (1, 10)
    assert undone.error < distorted.error - 0.2


def test_a_run_with_a_transformer_leaves_its_theta_and_a_picture_too(stn_train):
    said = stn_train(*SMOKE, "model=fcn_stn", "transform=tps", "data.validation=1000", "recipe.precision=fp32")
    assert said.code == 0, said.err
    folder = Path("outputs/runs/r/fcn_stn-tps/smoke/seed1")
    record = read_record(folder / "result.json")
    assert record.choices["transform"] == "tps"
    assert (record.evaluated_on, record.images) == ("validation", 1000)
    assert set(record.warp) == {f"transformer/{name}" for name in ("outside", "folded", "median_area")}
    arrays = np.load(folder / "predictions.npz")
    assert (arrays["predictions"] != load_mnist().train_labels[-1000:]).sum() == record.errors
    model, config = rebuilt(folder)
    images = torch.cat([images for images, _ in build(config.data, "data").evaluation_batches(1000)])
    assert arrays["theta/transformer"].shape == (1000, 32)
    np.testing.assert_allclose(arrays["theta/transformer"], model.transformer.theta(images).detach(), atol=1e-4)
    assert arrays["theta/transformer"].std(axis=0).min() > 0
    with Image.open(folder / "transformer.png") as picture:
        assert picture.format == "PNG"
        assert np.unique(np.asarray(picture)[..., 0]).size > 50  # shades of grey: digits
    events = EventAccumulator(str(folder))
    events.Reload()
    assert {"train/loss", "train/error", "validation/error"} <= set(events.Tags()["scalars"])
    assert events.Tags()["images"] == ["transformer/frames"]


def test_a_finished_run_is_skipped_with_a_line_and_left_alone(stn_train, few_files):
    assert stn_train(*SMALL).code == 0
    before = files("outputs")
    said = stn_train(*SMALL)
    assert said.code == 0
    assert re.fullmatch(rf"skipped, already finished: {FCN_FOLDER}  test error \d+\.\d+ % \(95 % .*\)\n", said.err)
    assert files("outputs") == before


def test_a_finished_run_is_skipped_without_torch(stn_train, few_files, tmp_path):
    assert stn_train(*SMALL).code == 0
    program = (
        "import sys; from stn_bench.cli.train import main; main(); "
        "print({'torch', 'numpy', 'matplotlib'} & set(sys.modules))"
    )
    again = subprocess.run([sys.executable, "-c", program, *SMALL], capture_output=True, text=True, check=True)
    assert again.stderr.startswith("skipped, already finished: ")
    assert again.stdout == "set()\n"


@pytest.mark.parametrize("word", ["device=cpu", "trusted=[torch]", "data.folder=elsewhere"])
def test_where_and_how_a_run_is_done_does_not_make_it_another(stn_train, few_files, word):
    assert stn_train(*SMALL).code == 0
    assert stn_train(*SMALL, word).err.startswith("skipped, already finished")


def test_another_config_is_refused_the_folder_by_the_keys_that_differ(stn_train, few_files):
    assert stn_train(*SMALL).code == 0
    before = files("outputs")
    said = stn_train(*SMALL, "recipe.steps=7", "data.distortion.max_degrees=45")
    assert said == (
        1,
        "",
        f"stn-train: {FCN_FOLDER} holds a run of another config, which differs in data.distortion.max_degrees "
        "(there 90, now 45); recipe.steps (there 20, now 7): add tag=NAME to keep both, change the keys back, or "
        "delete the folder\n",
    )
    assert files("outputs") == before


def test_a_tag_keeps_both(stn_train, few_files):
    assert stn_train(*SMALL).code == stn_train(*SMALL, "recipe.steps=7", "tag=short").code == 0
    assert read_record(FCN_FOLDER / "result.json").steps == 20
    tagged = read_record(FCN_FOLDER.with_name("seed1-short") / "result.json")
    assert (tagged.steps, tagged.choices["tag"]) == (7, "short")


def test_an_unfinished_run_is_started_again(stn_train, few_files):
    assert stn_train(*SMALL).code == 0
    weights = (FCN_FOLDER / "model.safetensors").read_bytes()
    (FCN_FOLDER / "result.json").unlink()
    (FCN_FOLDER / "model.safetensors").write_bytes(b"cut")
    assert stn_train(*SMALL).code == 0
    assert read_record(FCN_FOLDER / "result.json").steps == 20
    assert (FCN_FOLDER / "model.safetensors").read_bytes() == weights
    assert len(list(FCN_FOLDER.glob("events.out.tfevents.*"))) == 1


def test_other_seeds_are_other_runs(stn_train, few_files):
    for seed in (1, 2):
        assert stn_train(*SMALL, f"seed={seed}").code == 0
    one, two = (FCN_FOLDER.with_name(f"seed{seed}") / "model.safetensors" for seed in (1, 2))
    assert one.read_bytes() != two.read_bytes()


def test_the_same_command_in_two_processes_leaves_the_same_bytes(stn_train_process):
    words = (*SMOKE, "model=cnn_stn", "transform=affine", "device=cpu", "data.validation=1000")
    folder = Path("r/cnn_stn-affine/smoke/seed1")
    for output in ("first", "second"):
        said = stn_train_process(*words, f"output={output}")
        assert said.code == 0, said.err
    assert (Path("first") / folder / "model.safetensors").read_bytes() == (
        Path("second") / folder / "model.safetensors"
    ).read_bytes()
    first, second = (np.load(Path(output) / folder / "predictions.npz") for output in ("first", "second"))
    assert all(np.array_equal(first[name], second[name]) for name in ("predictions", "theta/transformer"))


REFUSED = {
    ("modle=cnn",): "there is no key modle: did you mean model?; there are ",
    ("recpie.steps=3",): "there is no key recpie: did you mean recipe?; there are ",
    ("recipe.stpes=3",): "there is no key recipe.stpes: did you mean recipe.steps?; there are ",
    ("recipe.optimiser.dampening=1",): "there is no key recipe.optimiser.dampening; there are _target_, _partial_, lr",
    ("seed.x=3",): "seed has no keys of its own, so seed.x does not exist",
    ("model=cnnn",): "model=cnnn does not exist: did you mean model=cnn?; there are cnn, cnn_stn, fcn, fcn_stn",
    ("data=rtx",): "data=rtx does not exist: did you mean data=rts?; there are e, none, p, r, rts",
    ("recipe=papr",): "recipe=papr does not exist: did you mean recipe=paper?; there are ",
    ("sweep=mnist",): "sweep=mnist does not exist: did you mean sweep=distorted_mnist?; there are ",
    ("model=fcn_stn", "transform=tpss"): "transform=tpss does not exist: did you mean transform=tps?; there are affine",
    ("recipe/optimiser=adam",): "recipe/optimiser=adam does not exist: did you mean recipe/optimiser=adamw?; there",
    ("recipe.optimiser=sgd",): "recipe cannot be built: recipe.optimiser='sgd' is not an optimiser: choose one with a "
    "slash, recipe/optimiser=sgd",
    ("model=fcn", "transform=tps"): "model=fcn has no spatial transformer, so it takes no transform=tps: choose "
    "model=fcn_stn, or leave transform out",
    ("seed=abc",): "Error merging override seed=abc: Value 'abc' of type 'str' could not be converted to Integer",
    (
        "+foo=1",
    ): "there is no root key foo; there are data, model, transform, recipe, seed, device, tag, output, checkpoint, "
    "trusted",
    ("+recipe.foo=1",): "recipe cannot be built: Recipe.__init__() got an unexpected keyword argument 'foo'",
    ("foo",): "'foo' is not of the form key=value",
    ("tag=ü",): """'tag=ü' cannot be read: brackets are not closed in pairs, or signs need quotes of their own, """
    """as in "tag='ü'\"""",
    ("trusted=[a",): "'trusted=[a' cannot be read: brackets are not closed in pairs, or signs need quotes",
    ("data=[none,r]",): "data=[...] merges several choices into one: give data=NAME, or data=NAME,NAME with -m for a",
    ("model=fcn_stn", "transform=[affine,tps]"): "transform=[...] merges several choices into one: give transform=NAME",
    ("model=fcn_stn", "model.localiser=null"): "model cannot be built: localiser=None makes no network: name one in",
    ("output=/dev/null",): "/dev/null/r/fcn-plain/smoke/seed1 cannot be made, as it or a part of its path is a file, "
    "not a folder: choose another with output=DIR",
    ("device=tpu",): "device=tpu is not known: use auto, cpu, cuda or cuda:N",
    (
        "recipe.epochs=3",
    ): "recipe cannot be built: a recipe lasts so many epochs or so many steps, found recipe.epochs=3 "
    "and recipe.steps=20: give one and set the other to null",
    (
        "recipe.schedule._target_=torch.optim.lr_scheduler.ExponentialLR",
        "++recipe.schedule={_partial_: true, gamma: 0.9}",
        "~recipe.schedule.warmup",
    ): "recipe.schedule has no factor on the learning rate for step 0 of 20 (TypeError: ",
    ("recipe.batch_size=700",): "640 training images do not fill one batch: set recipe.batch_size to at most 640",
    ("recipe.optimiser.lr=-1",): "recipe.optimiser cannot be built: Invalid learning rate: -1",
    ("data.validation=640",): "data cannot be built: validation=640 of 640 training digits: hold out 0 to 639",
    ("model.parameters_budget=9",): "model cannot be built: a budget of 9 parameters is too small for width 1",
    (
        "model=fcn_stn",
        "transform=tps",
        "transform.rows=1",
    ): "model cannot be built: a grid of 1 x 4 control points lies",
    (
        "model=fcn_stn",
        "data=rts",
        "model.output_size=0",
    ): "model cannot be built: 'transformer' cannot make 0 x 0 pixels",
    (
        "model=fcn_stn",
        "data=rts",
        "model.output_size=big",
    ): "model.output_size=big does not fit: Expected `int | null`, got `str`",
    ("checkpoint.every_minutes=0",): "checkpoint.every_minutes=0.0 is not above 0: give null for never",
    ("checkpoint.every_steps=-5",): "checkpoint.every_steps=-5 is not above 0: give null for never",
    ("checkpoint.every_step=5",): "there is no key checkpoint.every_step: did you mean checkpoint.every_steps?",
}
if Path("/proc/self").exists():  # on Linux, where nobody makes folders in it
    REFUSED[("output=/proc/nowhere",)] = "[Errno 2] No such file or directory: '/proc/nowhere'"


@pytest.mark.parametrize(("words", "sentence"), REFUSED.items(), ids=map(" ".join, REFUSED))
def test_a_mistake_is_answered_in_one_sentence_and_leaves_nothing(stn_train, few_files, words, sentence):
    given = [word for word in FCN if not any(word.split("=")[0] == other.split("=")[0] for other in words)]
    said = stn_train(*given, *words)
    assert said.code == 1
    assert said.out == ""
    assert said.err.startswith(f"stn-train: {sentence}")
    assert said.err.count("\n") == 1
    assert "+" not in said.err.replace("+foo", "")  # nobody is advised to add an unknown key
    assert nothing_left()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said_so(stn_train, few_files):
    said = stn_train(*FCN, "device=cuda")
    assert said.code == 1
    assert said.err.startswith("stn-train: device=cuda, but torch ")
    assert said.err.endswith("sees no GPU here: use device=cpu or auto\n")
    assert nothing_left()


NOT_TRUSTED = "only names below stn_bench, torch.nn, torch.optim are"


@pytest.mark.parametrize(
    ("place", "target", "reason"),
    [
        ("model", "os.system", NOT_TRUSTED),
        ("data", "os.system", NOT_TRUSTED),
        ("data.distortion", "os.system", NOT_TRUSTED),
        ("recipe.optimiser", "os.system", NOT_TRUSTED),
        ("model", "builtins.eval", NOT_TRUSTED),
        ("model", "torch.load", NOT_TRUSTED),
        ("recipe.schedule", "torch.hub.load", NOT_TRUSTED),
        ("model", "torch.nnn.Linear", NOT_TRUSTED),
        ("model", "torch.nn.functional.torch.load", "it belongs to torch.serialization, not to "),
        ("model", "stn_bench.cli.provenance.subprocess.run", "it belongs to subprocess, not to "),
        ("model", "stn_bench.cli.job.os.system", "it belongs to (posix|nt), not to "),
        ("model", "stn_bench.cli.provenance.subprocess", "it belongs to None, not to "),
        ("data", "stn_bench.data.download.run_watched", "it belongs to stn_bench.data.download, not to "),
        ("data.distortion", "stn_bench.data.mnist.mnist_folder", "it belongs to stn_bench.data.mnist, not to "),
        ("model", "stn_bench.cli.run_folder.release", "it belongs to stn_bench.cli.run_folder, not to "),
    ],
)
def test_a_hostile_name_is_not_built(stn_train, few_files, place, target, reason):
    words = (f"{place}._target_={target}", f"+{place}.command=[touch,sprung]", f"+{place}.args=touch sprung")
    said = stn_train(*FCN, *words)
    assert said.code == 1
    assert re.match(rf"stn-train: {re.escape(f'{place}._target_={target}')} is not built: {reason}", said.err)
    assert said.err.count("\n") == 1
    assert not Path("sprung").exists()
    assert nothing_left()


def test_a_name_that_does_not_exist_is_said_so(stn_train, few_files):
    said = stn_train(*FCN, "model._target_=stn_bench.models.CNNN")
    assert said.err == "stn-train: model._target_=stn_bench.models.CNNN does not exist: there is no 'CNNN' in it\n"


def test_a_users_own_class_is_built_once_its_package_is_trusted(stn_train, few_files, monkeypatch, tmp_path):
    (tmp_path / "my_networks.py").write_text(
        "import torch\n\n\nclass Net(torch.nn.Sequential):\n    def __init__(self, image_shape, classes, **rest):\n"
        "        super().__init__(torch.nn.Flatten(), torch.nn.Linear(784, classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    words = (*FCN, "model._target_=my_networks.Net", "tag=mine")
    refused = stn_train(*words)
    assert refused.err.endswith("if you trust the package, add trusted=[my_networks]\n")
    assert stn_train(*words, "trusted=[my_networks]").code == 0
    assert read_record(FCN_FOLDER.with_name("seed1-mine") / "result.json").parameters == 7850
    network, data = load_run(FCN_FOLDER.with_name("seed1-mine"), trusted=["my_networks"])
    assert network(next(data.evaluation_batches(3))[0]).shape == (3, 10)
    with pytest.raises(ConfigError, match="add trusted="):
        load_run(FCN_FOLDER.with_name("seed1-mine"))


def test_a_damaged_file_that_nobody_serves_is_reported(stn_train, monkeypatch, tmp_path):
    folder = shutil.copytree(mnist_folder(), tmp_path / "data/mnist")
    labels = folder / "t10k-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1] + b"!")
    monkeypatch.setattr("stn_bench.data.sources.mnist_sources", lambda: [])
    monkeypatch.setenv("STN_DATA_DIR", str(tmp_path / "data"))
    for words in ((), (f"data.folder={folder}",)):
        said = stn_train(*FCN, *words)
        assert said.code == 1
        assert said.err.startswith(f"stn-train: MNIST is not complete in {folder}, and no source gave the rest:\n")
        assert said.err.endswith("  t10k-labels-idx1-ubyte\n")
        assert "Traceback" not in said.err
    assert not list(Path().rglob("seed*"))


IN_THIS_PROCESS = "hydra/launcher=basic"  # where few_files works


def test_commas_and_m_make_a_sweep_with_a_summary_wherever_m_stands(stn_train, few_files):
    said = stn_train(*SMALL, "seed=1,2", "-m", IN_THIS_PROCESS)
    assert said.code == 0, said.err
    assert said.err.splitlines()[-1] == "2 runs: 2 done"
    again = stn_train("-m", *SMALL, "seed=1,2,3", IN_THIS_PROCESS)
    assert again.err.splitlines()[-1] == "3 runs: 1 done, 2 skipped"
    assert {path.parent.name for path in Path().rglob("result.json")} == {"seed1", "seed2", "seed3"}


def test_a_failed_run_of_a_sweep_is_summed_up_and_the_rest_done(stn_train, few_files):
    said = stn_train(*SMALL, "data.validation=640,0,64", "tag=held${data.validation}", "-m", IN_THIS_PROCESS)
    assert said.code == 1
    first, counts, last = said.err.splitlines()[-3:]
    assert first.startswith(f"failed  {' '.join(SMALL)} data.validation=640 tag=held")
    assert "  data cannot be built: validation=640 of 640 training digits" in first
    assert first.endswith(f"  {FCN_FOLDER}-held640")
    assert counts == "3 runs: 2 done, 1 failed"
    assert last == "stn-train: 1 of 3 runs failed, see above; the same command retries them"
    found = {path.parent.name: read_record(path).evaluated_on for path in Path().rglob("result.json")}
    assert found == {"seed1-held0": "test", "seed1-held64": "validation"}


def test_a_sweep_whose_runs_would_share_a_folder_is_refused_before_any(stn_train, few_files):
    said = stn_train(*SMALL, "data.validation=0,64", "-m", IN_THIS_PROCESS)
    given = " ".join(SMALL)
    assert said.code == 1
    assert said.err.startswith(f"stn-train: {given} data.validation=0 and {given} data.validation=64 would be one ")
    assert said.err.endswith("'tag=${data.validation}', which takes the value of data.validation for the tag\n")
    assert not list(Path().rglob("seed1*"))


def test_a_sweep_by_name_is_narrowed_by_choices(stn_train, few_files):
    words = ("sweep=distorted_mnist", "model=fcn_stn", "transform=tps", "data=r", "seed=2")
    said = stn_train(*SMOKE, *words, IN_THIS_PROCESS)
    assert said.code == 0, said.err
    assert [str(path.parent) for path in Path().rglob("result.json")] == ["outputs/runs/r/fcn_stn-tps/smoke/seed2"]
    assert read_record(next(Path().rglob("result.json"))).choices["recipe"] == "smoke"


def test_the_sweep_of_bounds_tags_the_runs_on_undone_digits_and_no_others(stn_train, few_files):
    said = stn_train(*SMOKE, "sweep=bounds", "model=fcn", "data=e,none", "seed=2", IN_THIS_PROCESS)
    assert said.code == 0, said.err
    records = [read_record(path) for path in sorted(Path().rglob("result.json"))]
    assert [(str(record.folder), record.choices["tag"], record.config["data"]["undone"]) for record in records] == [
        ("outputs/runs/e/fcn-plain/smoke/seed2-oracle", "oracle", True),
        ("outputs/runs/none/fcn-plain/smoke/seed2", None, False),
    ]


def test_a_sweep_of_which_nothing_is_left_is_an_error(stn_train):
    said = stn_train(*SMOKE, "sweep=bounds", "data=none", "tag=oracle")
    assert said == (
        1,
        "",
        "stn-train: the sweep has no jobs: the command line leaves none of its grids' values over\n",
    )
    said = stn_train(*SMOKE, "sweep=distorted_mnist", "transform=rotation,tps")
    assert said == (
        1,
        "",
        "stn-train: transform=rotation is in none of the sweep's grids, which have affine, projective, tps\n",
    )


def test_an_unknown_option_is_one_sentence(stn_train):
    said = stn_train("model=cnn", "--nope")
    assert said == (1, "", "stn-train: there is no option --nope: see stn-train --help and stn-train --hydra-help\n")


def test_the_config_can_be_printed_without_a_run(stn_train):
    said = stn_train("model=cnn", "--cfg", "job", "seed=3")
    assert said.code == 0
    assert OmegaConf.create(said.out).model._target_ == "stn_bench.models.CNN"
    assert nothing_left()


def test_a_wrong_choice_is_one_sentence_beside_the_value_of_an_option(stn_train):
    said = stn_train("model=cnn", "data=venus", "--cfg", "job")
    assert said == (1, "", "stn-train: data=venus does not exist; there are e, none, p, r, rts\n")


def test_ctrl_c_says_how_to_go_on(stn_train, few_files, monkeypatch):
    def interrupted(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("stn_bench.cli.job.run", interrupted)
    said = stn_train(*FCN)
    assert said.code == 130
    assert said.err.endswith("stn-train: interrupted; the same command goes on from the last checkpoint\n")


def test_a_bug_keeps_its_traceback(stn_train, few_files, monkeypatch):
    def broken(*arguments, **settings):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("stn_bench.cli.job.run", broken)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        stn_train(*FCN)
