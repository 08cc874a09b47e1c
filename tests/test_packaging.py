"""The wheel, made from the sdist: what is in it, and that it works where there is nothing else of this repository."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHIPPED = ("stn_bench", "hydra_plugins", "configs", "pyproject.toml", "README.md", "LICENSE")


PRINT_PACKAGES = "import sysconfig; print(sysconfig.get_path('purelib'))"


def run(*command, folder):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    tree = tmp_path_factory.mktemp("tree")
    for name in SHIPPED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tree)
    # torch mostly brings a setuptools that is new enough; where it does not, the build fetches one
    enough = int(version("setuptools").split(".")[0]) >= 77
    run(sys.executable, "-m", "build", *(["--no-isolation"] if enough else []), folder=tree)
    (built,) = (tree / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The folder of the commands of an environment that has the wheel, and this one's other packages."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, folder=folder)
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    packages, _ = run(scripts / "python", "-c", PRINT_PACKAGES, folder=folder)
    # a line of a .pth file is a folder to import from; .pth files in there, an editable install's, are not read
    Path(packages.strip(), "other_packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = (sys.executable, "-m", "pip", "--python", scripts / "python", "--disable-pip-version-check")
    run(*pip, "install", "--no-deps", "--no-index", wheel, folder=folder)
    return scripts


def names_in(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_every_module_and_every_config(wheel):
    names = names_in(wheel)
    for folder in ("stn_bench", "hydra_plugins"):
        modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*.py")}
        assert modules <= names
    configs = {f"stn_bench/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "configs").rglob("*.yaml")}
    assert len(configs) > 20
    assert configs | {"stn_bench/configs/__init__.py"} <= names
    assert {"stn_bench/geometry/README.md", "stn_bench/py.typed"} <= names


def test_the_wheel_holds_nothing_else(wheel):
    names = names_in(wheel)
    assert {name.split("/")[0] for name in names} == {
        "stn_bench",
        "hydra_plugins",
        f"stn_bench-{version('stn-bench')}.dist-info",
    }
    assert "hydra_plugins/__init__.py" not in names  # the folder belongs to all plugins of Hydra


def test_what_is_imported_is_the_wheels(installed, tmp_path):
    program = (
        "import stn_bench.configs, hydra_plugins.stn_grid_sweeper as g, hydra_plugins.stn_local_launcher as l, torch; "
        "print(stn_bench.__file__, g.__file__, l.__file__)"
    )
    out, _ = run(installed / "python", "-c", program, folder=tmp_path)
    assert len(out.split()) == 3
    for path in out.split():
        assert Path(path).is_relative_to(installed.parent)


def test_the_commands_work_in_an_empty_folder(installed, tmp_path):
    run(installed / "stn-train", "recipe=smoke", "model=fcn", "device=cpu", folder=tmp_path)
    run_folder = tmp_path / "outputs/runs/r/fcn-plain/smoke/seed1"
    assert '"git_commit": null' in (run_folder / "result.json").read_text()
    _, said = run(installed / "stn-train", "recipe=smoke", "model=fcn", "device=cpu", "seed=1,2", "-m", folder=tmp_path)
    assert said.splitlines()[-1] == "2 runs: 1 done, 1 skipped"  # Hydra finds its plugins
    assert (run_folder.with_name("seed2") / "log.txt").exists()
    table, said = run(installed / "stn-table", "--recipe", "smoke", folder=tmp_path)
    assert re.search(r"\| FCN +\| - +\| ours +\| \d+\.\d+ ± \d+\.\d+ \(2\)", table), table
    assert said == ""
    folder, _ = run(installed / "stn-data", "path", folder=tmp_path)
    assert Path(folder.strip()).name == "mnist"


def test_help_works_without_the_repository(installed, tmp_path):
    out, _ = run(installed / "stn-train", "--help", folder=tmp_path)
    assert "\n  cnn_stn  " in out
    assert not list(tmp_path.iterdir())
