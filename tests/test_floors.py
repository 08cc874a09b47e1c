"""The floors of the house: a module imports only from lower ones or from its own folder."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = {
    "errors": 0,
    "files": 0,
    "stderr": 0,
    "geometry": 1,
    "transforms": 2,
    "distortions": 3,
    "spatial_transformer": 4,
    "convolution": 4,
    "models": 5,
    "data": 6,
    "tasks": 7,
    "figures": 8,
    "training": 9,
    "results": 10,
    "schema": 11,
    "cli": 12,
    "trained": 13,
}
# the public API stands outside of the house and looks into it
MODULES = sorted(path for path in (ROOT / "stn_bench").rglob("*.py") if path != ROOT / "stn_bench/__init__.py")
PLUGINS = sorted((ROOT / "hydra_plugins").rglob("*.py"))
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc"}


def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path):
    """The dotted names that a module imports anywhere in it, functions and TYPE_CHECKING included."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here, found a relative one in line {node.lineno}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def of_house(path):
    """The floors' names that a module imports from."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("stn_bench.")}


def outside(path):
    """The packages that a module imports from."""
    return {name.split(".")[0] for name in imports(path)}


def floor_of(path):
    return path.relative_to(ROOT / "stn_bench").with_suffix("").parts[0]


def uses(name):
    """The modules in which a function of this name is mentioned in code."""
    found = set()
    for path in [*MODULES, *PLUGINS]:
        for node in ast.walk(tree(path)):
            imported = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
            if name in (getattr(node, "id", None), getattr(node, "attr", None), *imported):
                found.add(str(path.relative_to(ROOT)))
    return found


def calls(path):
    """Each call in a module as (dotted name of what is called, names of keyword arguments)."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {keyword.arg for keyword in node.keywords}


def test_every_module_stands_on_a_floor():
    assert {floor_of(path) for path in MODULES} == set(FLOORS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_from_lower_floors_or_its_own_folder(path):
    own = floor_of(path)
    not_lower = {floor for floor in of_house(path) - {own} if FLOORS[floor] >= FLOORS[own]}
    assert not not_lower, f"{path} stands on floor {FLOORS[own]} and imports {not_lower}"


def test_transforms_and_distortions_do_not_know_each_other():
    for path in MODULES:
        if floor_of(path) in ("transforms", "distortions"):
            assert not of_house(path) & ({"transforms", "distortions"} - {floor_of(path)}), path


def test_results_can_be_lifted_out_and_used_without_torch():
    for path in (path for path in MODULES if floor_of(path) == "results"):
        assert of_house(path) <= {"errors", "files", "results"}, path
        assert not outside(path) & {"torch", "torchvision", "hydra", "omegaconf"}, path


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_hydra_is_known_on_the_two_topmost_floors_only(path):
    if FLOORS[floor_of(path)] < FLOORS["schema"]:
        assert not outside(path) & {"hydra", "omegaconf", "hydra_plugins"}


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: path.name)
def test_a_hydra_plugin_needs_nothing_of_the_house_but_errors_stderr_and_results(path):
    assert of_house(path) <= {"errors", "results", "stderr"}
    assert "torch" not in outside(path)


@pytest.mark.parametrize(
    ("name", "home"),
    [("meshgrid", "stn_bench/geometry/grid.py"), ("grid_sample", "stn_bench/geometry/sampling.py")],
)
def test_the_coordinate_convention_has_one_place(name, home):
    assert uses(name) == {home}


def test_modules_are_named_for_what_they_hold():
    for path in [*MODULES, *PLUGINS]:
        assert not NAMES_THAT_SAY_NOTHING & set(path.relative_to(ROOT).with_suffix("").parts), path


def test_modules_are_imported_by_a_computed_name_on_the_topmost_floor_only():
    assert uses("import_module") | uses("__import__") == {"stn_bench/cli/build.py"}  # the walks above do not see them
