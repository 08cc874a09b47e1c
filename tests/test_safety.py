"""Nothing that is read is run: neither configs nor checkpoints, records or data."""

import ast
import io
import json
import os
import pickle
from pathlib import Path

import pytest
import torch
import yaml
from omegaconf import OmegaConf

from stn_bench.cli.build import TRUSTED, ConfigError, build
from stn_bench.cli.table import main as stn_table
from stn_bench.data.idx import read_idx
from stn_bench.data.mnist import verify_mnist
from stn_bench.results.record import RecordError, find_records, read_record
from stn_bench.results.status import STATUS_NAME, read_status

ROOT = Path(__file__).parents[1]
SOURCES = [
    path for folder in ("stn_bench", "hydra_plugins", "scripts") for path in sorted((ROOT / folder).rglob("*.py"))
]
RUNNERS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "runpy.run_path", "runpy.run_module"}
LOADERS = {
    *(f"pickle.{name}" for name in ("load", "loads", "Unpickler")),
    *(f"yaml.{name}" for name in ("load", "load_all", "unsafe_load", "full_load", "Loader", "UnsafeLoader")),
    *("marshal.load", "marshal.loads", "shelve.open", "joblib.load", "dill.load", "torch.hub.load", "torch.jit.load"),
}
RESTRICTED = "stn_bench/data/packages.py"
"""Where one pickle is read, by an unpickler that knows the constructors of arrays alone."""


def offences(text, place=""):
    """What in a source text would run, or unpickle, what it reads."""
    tree = ast.parse(text)
    homes = {}  # local name -> dotted name, of what is imported
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            homes |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            homes |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in ast.walk(tree):
        name = ast.unparse(node) if isinstance(node, (ast.Name, ast.Attribute)) else ""
        first, _, rest = name.partition(".")
        name = homes.get(first, first) + (f".{rest}" if rest else "")
        if name in RUNNERS | LOADERS and not (name == "pickle.Unpickler" and place == RESTRICTED):
            yield name
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            called = homes.get(called.partition(".")[0], called.partition(".")[0]) + "".join(called.partition(".")[1:])
            settings = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if called == "torch.load" and settings.get("weights_only") != "True":
                yield "torch.load"
            if settings.get("allow_pickle", "False") != "False":
                yield "allow_pickle"
            if settings.get("shell", "False") != "False":
                yield "shell"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_runs_or_unpickles_what_it_reads(path):
    assert list(offences(path.read_text(), path.relative_to(ROOT).as_posix())) == []


@pytest.mark.parametrize(
    "text",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=flag)",
        "from torch import load\nload(path)",
        "import torch as t\nt.load(path)",
        "eval(text)",
        "run = exec\nrun(text)",
        "import pickle\npickle.load(file)",
        "from pickle import loads as read\nread(content)",
        "import pickle as p\np.Unpickler(file).load()",
        "import yaml\nyaml.load(text, Loader=yaml.Loader)",
        "from yaml import unsafe_load\nunsafe_load(text)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(words, shell=True)",
        "from os import system\nsystem(words)",
        "torch.hub.load('a', 'b')",
    ],
)
def test_the_walk_finds(text):
    assert list(offences(text))


def test_the_walk_lets_plain_reading_pass():
    assert (
        list(offences("import torch\ntorch.load(path, weights_only=True)\nyaml.safe_load(text)\nnp.load(path)")) == []
    )


class Spring:
    """Makes a folder when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def trap(tmp_path):
    """A thing that leaves a folder behind when it is unpickled: seen to work, then set again."""
    pickle.loads(pickle.dumps(Spring(tmp_path / "sprung")))
    (tmp_path / "sprung").rmdir()
    yield Spring(tmp_path / "sprung")
    assert not (tmp_path / "sprung").exists()


def pickled(trap):
    content = io.BytesIO()
    torch.save({"training": trap}, content)
    return content.getvalue()


@pytest.mark.parametrize(
    "target", ["os.system", "builtins.exec", "subprocess.run", "torch.load", "torch.hub.load", "yaml.load"]
)
def test_a_hostile_config_is_not_built(trap, target):
    node = OmegaConf.create({"_target_": target, "command": f"mkdir {trap.path}", "_args_": [f"mkdir {trap.path}"]})
    for hidden in (node, OmegaConf.create({"a": [{"b": node}]})):
        with pytest.raises(ConfigError, match=r"is not built: only names below stn_bench, torch.nn, torch.optim are"):
            build(hidden, "model")


def test_of_torch_a_config_names_layers_and_optimisers_alone():
    assert TRUSTED == ("stn_bench", "torch.nn", "torch.optim")


def test_a_config_file_makes_no_objects(trap, tmp_path):
    (tmp_path / "config.yaml").write_text(f"a: !!python/object/apply:os.mkdir ['{trap.path}']\n")
    with pytest.raises(yaml.YAMLError):
        OmegaConf.load(tmp_path / "config.yaml")


def test_a_hostile_record_or_status_runs_nothing(trap, tmp_path, monkeypatch):
    record = json.loads(min((ROOT / "outputs/reference/distorted_mnist").rglob("result.json")).read_text())
    record["config"] = {
        "_target_": "os.mkdir",
        "path": str(trap.path),
        "x": "${oc.env:HOME}",
        "y": f"$(mkdir {trap.path})",
    }
    record["choices"]["tag"] = f"$(mkdir {trap.path})"
    run = tmp_path / "runs/run"
    run.mkdir(parents=True)
    (run / "result.json").write_text(json.dumps(record))
    assert find_records(tmp_path / "runs")[0].config == record["config"]
    stn_table(["--runs", str(tmp_path / "runs"), "--output", str(tmp_path / "table.md")])
    for content in (pickled(trap), pickle.dumps(trap), b"!!python/object/apply:os.mkdir ['x']"):
        (run / "result.json").write_bytes(content)
        (run / STATUS_NAME).write_bytes(content)
        with pytest.raises(RecordError, match="is not whole JSON"):
            read_record(run / "result.json")
        assert read_status(run) is None


def test_a_hostile_data_file_runs_nothing(trap, tmp_path):
    path = tmp_path / "train-images-idx3-ubyte"
    for content in (pickled(trap), pickle.dumps(trap)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is not an IDX file"):
            read_idx(path)
        assert verify_mnist(tmp_path)[path.name]
