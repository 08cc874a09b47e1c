"""Errors in sentences; those that whole commands bring about are in test_train_command.py."""

import errno
import re
import subprocess
import sys
from importlib.resources import files

import pytest
from hydra.errors import HydraException

from stn_bench.cli.choices import suggestion
from stn_bench.cli.faults import of_system
from stn_bench.cli.mistakes import explain
from stn_bench.errors import UserError

UNKNOWN = HydraException("Could not override 'x'.\nTo append to your config use +x=1\n    full_key: x")


@pytest.fixture(autouse=True)
def a_clean_hydra():
    from hydra.core.global_hydra import GlobalHydra

    from stn_bench import schema

    schema.register()
    yield
    GlobalHydra.instance().clear()


def test_an_error_for_the_user_is_its_own_sentence():
    assert explain(UserError("do this instead"), []) == "do this instead"


def test_what_the_system_refuses_is_told_as_it_puts_it():
    assert explain(IsADirectoryError(21, "Is a directory", "/runs"), []) == "[Errno 21] Is a directory: '/runs'"


def test_a_folder_that_may_not_be_written_to_is_told_with_what_to_do():
    assert explain(PermissionError(13, "Permission denied", "/runs"), []) == (
        "/runs cannot be written: Permission denied; make its folder writable, or choose another with output=DIR"
    )


def test_another_folder_than_the_runs_is_not_chosen_with_output(tmp_path):
    error = PermissionError(13, "Permission denied", "/sys/mnist")
    assert of_system(error, tmp_path).endswith("make its folder writable, or choose another")
    error.filename = str(tmp_path / "log.txt")
    assert of_system(error, tmp_path).endswith("make its folder writable, or choose another with output=DIR")


def test_a_full_disk_is_the_one_of_the_file_and_only_the_runs_has_a_checkpoint(tmp_path):
    elsewhere, folder = tmp_path / "data", tmp_path / "run"
    elsewhere.mkdir()
    sentence = of_system(OSError(errno.ENOSPC, "No space left on device", str(elsewhere / "mnist")), folder)
    assert re.fullmatch(
        rf"{elsewhere}/mnist cannot be written: No space left on device \([\d,]+ bytes free\); make room, then type "
        "the same command again",
        sentence,
    )
    sentence = of_system(OSError(errno.ENOSPC, "No space left on device", str(folder / "log.txt")), folder)
    assert sentence.endswith("type the same command again to go on from the last checkpoint")


@pytest.mark.parametrize("error", [ZeroDivisionError(), ValueError("a bug"), AssertionError()])
def test_a_bug_is_not_explained_away(error):
    assert explain(error, ["model=cnnn"]) is None


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["a.b=1", "model=cnnn"], "model=cnnn does not exist: did you mean model=cnn?; there are cnn, cnn_stn, fcn"),
        (["model=0"], "model=0 does not exist; there are cnn, cnn_stn, fcn, fcn_stn"),
        (["model=fcn,cnn"], "model=fcn,cnn names several values: add -m for a run of each"),
        (["seed=1,2", "data=r,rtz", "-m"], "data=rtz does not exist: did you mean data=rts?; there are e, none, p, r"),
        (["transform=tps", "model=cnn"], "model=cnn has no spatial transformer, so it takes no transform=tps"),
        (["transform=tps", "recipe.stepz=3"], "there is no key recipe.stepz: did you mean recipe.steps?"),
        (["model=fcn_stn", "transform.rows=3"], "there is no key transform.rows; there are _target_"),
        (["model=fcn_stn", "model.localiser.units.7=3"], "model.localiser.units has no keys of its own"),
        (
            ["recipe=paper", "recipe.schedule.warmup=0.1"],
            "there is no key recipe.schedule.warmup; there are _target_, e",
        ),
        (
            ["transform=tps", "model=fcn_stn,cnn", "-m"],
            "model=cnn has no spatial transformer, so it takes no transform",
        ),
        (["sweep=distorted_mnist,bounds"], "several sweeps are no sweep: type a command for each"),
        (["+model.extra=2", "++seed=1", "data=rtz"], "data=rtz does not exist: did you mean data=rts?"),
        (["recipe.steps.x=3"], "recipe.steps has no keys of its own, so recipe.steps.x does not exist"),
    ],
)
def test_a_wrong_word_is_found_among_right_ones(arguments, sentence):
    assert explain(UNKNOWN, arguments).startswith(sentence)


@pytest.mark.parametrize("argument", ["hydra.verbose=true", "transform=tps", "data.distortion.max_degrees=9"])
def test_a_right_word_is_not_blamed(argument):
    assert explain(UNKNOWN, [argument]) == "Could not override 'x'."


@pytest.fixture
def own_configs(tmp_path):
    """A config tree beside the package's, with a model in it."""
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/mine.yaml").write_text("# mine: one layer\n_target_: mine.Net\nunits: 3\n")
    return tmp_path / "conf"


@pytest.mark.parametrize("words", ["--config-dir {}", "-cd {}", "--config-dir={}", "hydra.searchpath=[file://{}]"])
def test_choices_of_ones_own_are_not_blamed_and_their_keys_are_known(own_configs, words):
    given = ["model=mine", *words.format(own_configs).split(" ")]
    assert explain(UNKNOWN, [*given, "model.units=4"]) == "Could not override 'x'."
    assert explain(UNKNOWN, [*given, "transform=tps"]) == "Could not override 'x'."
    assert explain(UNKNOWN, [*given, "model.unts=4"]).startswith(
        "there is no key model.unts: did you mean model.units?"
    )
    assert explain(UNKNOWN, [*given, "data=rtz"]).startswith("data=rtz does not exist: did you mean data=rts?")
    assert explain(UNKNOWN, ["model=mien", *given[1:]]).startswith(
        "model=mien does not exist: did you mean model=mine?"
    )


@pytest.mark.parametrize("words", ["--config-dir {}", "-cd {}"])
def test_the_value_of_an_option_is_no_override(tmp_path, words):
    (tmp_path / "a=b[").mkdir()
    given = words.format(tmp_path / "a=b[").split(" ")
    assert explain(UNKNOWN, [*given, "sed=2"]).startswith("there is no key sed: did you mean seed?")


def test_an_own_config_that_cannot_be_composed_is_told_as_it_is(tmp_path):
    (tmp_path / "recipe").mkdir()
    (tmp_path / "recipe/mine.yaml").write_text("defaults: [fsat]\n")
    given = ["--config-dir", str(tmp_path), "recipe=mine", "output=here"]
    assert explain(UNKNOWN, given) == "Could not override 'x'."


@pytest.mark.parametrize("content", [b"units: [3\n", b"units: \xff\n"], ids=["syntax", "encoding"])
def test_an_own_config_that_cannot_be_read_is_a_sentence(stn_train, tmp_path, content):
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/mine.yaml").write_bytes(content)
    said = stn_train("--config-dir", str(tmp_path / "conf"), "model=mine")
    assert said.code == 1
    assert said.err.startswith("stn-train: a config cannot be read: ")
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("group", "content", "words"),
    [
        ("model", "", "model has no _target_, so nothing can be built of it"),
        ("data", "size: 3", "data has no _target_, so nothing can be built of it"),
        ("model", "{_target_: torch.nn.Identity, _partial_: true}", "model is no network, it is built to "),
        ("data", "{_target_: torch.nn.ReLU}", "data are none, they are built to ReLU: no classes, image_shape, "),
        ("recipe", "{_target_: torch.nn.ReLU}", "recipe is none, it is built to ReLU: has it `defaults: "),
    ],
)
def test_an_own_config_of_something_else_is_a_sentence(stn_train, few_files, tmp_path, group, content, words):
    (tmp_path / "conf" / group).mkdir(parents=True)
    (tmp_path / "conf" / group / "mine.yaml").write_text(content)
    said = stn_train("--config-dir", str(tmp_path / "conf"), f"{group}=mine")
    assert said.code == 1
    assert said.err.startswith(f"stn-train: {words}")


@pytest.mark.parametrize("name", ["model/fcn", "recipe/for_model/fast_fcn", "data/_mnist", "train"])
@pytest.mark.parametrize("words", [["model=fcn"], ["model=fcn", "--cfg", "job"], ["--help"]], ids=" ".join)
def test_an_own_config_that_would_not_be_read_is_refused_by_its_name(stn_train, tmp_path, name, words):
    own, packaged = tmp_path / f"conf/{name}.yaml", files("stn_bench.configs").joinpath(f"{name}.yaml").read_text()
    own.parent.mkdir(parents=True)
    own.write_text(f"{packaged}units: 3\n")
    sentence = f"stn-train: {own} would not be read, as stn_bench has its own {name}.yaml: give it another name\n"
    assert stn_train("--config-dir", str(tmp_path / "conf"), *words) == (1, "", sentence)
    own.write_text(packaged)  # a copy says the same
    assert stn_train("--config-dir", str(tmp_path / "conf"), "--help").code == 0


def test_a_folder_of_configs_that_is_not_there_is_named(tmp_path):
    sentence = explain(UNKNOWN, ["model=mine", "--config-dir", str(tmp_path / "nowhere")])
    assert sentence.startswith(f"there is no folder {tmp_path / 'nowhere'} of configs")


def test_an_item_of_a_list_is_a_key():
    assert explain(UNKNOWN, ["model=fcn_stn", "model.localiser.units.0=3"]) == "Could not override 'x'."


def test_a_cause_is_told_with_its_effect():
    error = HydraException("Error in call to target 'x':\nTypeError('no')")
    error.__cause__ = TypeError("no")
    assert explain(error, []) == "Error in call to target 'x':: no"


@pytest.mark.parametrize(
    ("word", "said"), [("cnnn", ": did you mean model=cnn?"), ("fnc", ": did you mean model=fcn?"), ("resnet", "")]
)
def test_only_a_near_word_is_suggested(word, said):
    assert suggestion(word, ["cnn", "fcn"], "model=") == said


def test_a_misspelt_command_line_does_not_wait_for_torch():
    program = "import sys; sys.argv[1:] = ['modle=cnn']\nfrom stn_bench.cli.train import main\ntry: main()\n"
    program += "except SystemExit as end: print(end.code); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    sentence, torch_is_loaded = done.stdout.splitlines()
    assert sentence.startswith("stn-train: there is no key modle: did you mean model?")
    assert torch_is_loaded == "False"


@pytest.mark.parametrize("tag", ["a/b", "../x", ".hidden"])
def test_a_tag_that_would_leave_the_folder_scheme_is_refused(stn_train, tag):
    result = stn_train(f"tag={tag}", "recipe=smoke", "model=fcn")
    assert result.code == 1
    assert result.err.startswith(f"stn-train: tag={tag} is no word for a folder's name")


@pytest.mark.parametrize("output", ["", "' '"])
def test_a_folder_without_a_name_is_not_the_root_of_all_folders(stn_train, tmp_path, output):
    result = stn_train(f"output={output}", "recipe=smoke", "model=fcn")
    assert result.code == 1
    assert result.err == "stn-train: output= names no folder: give one, . for this one\n"
    assert not list(tmp_path.rglob("seed*"))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model.units=-3", "model cannot be built"),
        ("model.units=0", "units=0 leaves a layer empty: give 1 or more"),
        ("data.fresh=no", "data.fresh=no does not fit: Expected `bool`, got `str`"),
        ("data.distortion=null", "data.distortion=null does not fit: Expected `Distortion`, got `NoneType`"),
        ("transform=null", "transform=null does not exist; there are affine"),
        ("recipe/optimiser=3", "recipe/optimiser=3 does not exist; there are adamw, muon, sgd"),
        ("seed=1,2", "seed=1,2 names several values: add -m for a run of each, or write seed=[...] for a list"),
        ("seed=-1", "seed=-1 is out of range"),
    ],
)
def test_values_that_make_no_sense_are_answered_in_a_sentence(stn_train, override, words):
    result = stn_train("model=fcn", "recipe=smoke", override)
    assert result.code == 1
    assert words in result.err
    assert "Traceback" not in result.err


def test_an_unknown_sampling_kernel_is_refused_before_the_folder_is_claimed(stn_train, tmp_path):
    result = stn_train("recipe=smoke", "model.kernel=foo")
    assert result.code == 1
    assert "unknown sampling kernel 'foo'" in result.err
    assert not list(tmp_path.rglob("config.yaml"))
