"""Every YAML below configs/ is counted, composed and built."""

import itertools
import re
from dataclasses import asdict, fields
from pathlib import Path

import pytest
from hydra.core.plugins import Plugins
from hydra.errors import ConfigCompositionException, HydraException
from hydra.utils import instantiate
from omegaconf import OmegaConf

from stn_bench.cli import run_log
from stn_bench.cli.build import ConfigError, build
from stn_bench.cli.choices import GROUPS, choices
from stn_bench.cli.help import EXAMPLES, page
from stn_bench.models import parameter_count
from stn_bench.results.spec import parse_spec
from stn_bench.schema import CheckpointConfig, TrainConfig
from stn_bench.training import Recipe
from stn_bench.training.keeper import Intervals

CONFIGS = Path(__file__).parents[1] / "configs"


def names(folder):
    """The files in a folder that can be chosen or, with an underscore, built on."""
    return sorted(path.stem for path in (CONFIGS / folder).glob("*.yaml"))


def chosen(folder):
    return [name for name in names(folder) if not name.startswith("_")]


def is_stn(model):
    return model.endswith("_stn")


def comments(folder, name):
    """The comment behind each key of the top level of a YAML file."""
    text = (CONFIGS / folder / f"{name}.yaml").read_text()
    return dict(re.findall(r"^(\w+):.*?(?:# (.+))?$", text, re.MULTILINE))


@pytest.fixture
def digits(monkeypatch, few_digits):
    monkeypatch.setattr("stn_bench.data.distorted.load_mnist", lambda folder: few_digits)


def test_every_yaml_lies_in_a_folder_whose_files_are_built_below():
    covered = ["", "data", "model", "transform", "recipe", "recipe/optimiser", "recipe/for_model"]
    covered += ["sweep", "table", "hydra/sweeper", "hydra/launcher"]
    found = {path.parent.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.yaml")}
    assert found <= {"." if folder == "" else folder for folder in covered}
    assert names("") == ["train"]
    assert names("hydra/sweeper") == ["grid"]
    assert names("hydra/launcher") == ["local", "ray", "slurm"]


def test_a_yaml_that_cannot_be_chosen_is_built_on_by_one_that_can():
    for path in CONFIGS.rglob("_*.yaml"):
        others = [other.read_text() for other in path.parent.glob("[!_]*.yaml")]
        assert any(re.search(rf"^\s*(defaults: \[|- ){path.stem}\b", text, re.MULTILINE) for text in others), path


def numbers(node, place):
    """The keys below a node that hold neither a word nor a node: numbers, true, false, null, lists and references."""
    for key, value in node.items():
        if OmegaConf.is_dict(value):
            yield from numbers(value, f"{place}.{key}")
        elif not (isinstance(value, str) or key.startswith("_")):
            yield f"{place}.{key}"


@pytest.mark.parametrize(
    "choice",
    [
        *(f"{group}={name}" for group in ("data", "model", "recipe", "recipe/optimiser") for name in chosen(group)),
        "transform=tps",
    ],
)
def test_a_word_in_the_place_of_a_number_is_refused_by_its_key(compose_config, choice):
    group = re.split("[/=]", choice.replace("transform", "model"))[0]
    node = OmegaConf.create(OmegaConf.to_container(compose_config(choice)[group], resolve=True))
    keys = set(numbers(node, group)) - {"data.folder"}
    assert keys or group in ("data", "model")  # a recipe has some; of these, "data=none" has none
    for key in keys:
        wrong = node.copy()
        OmegaConf.update(wrong, key.removeprefix(f"{group}."), "wrong")
        given = {"image_shape": (1, 42, 42), "classes": 10} if group == "model" else {}
        with pytest.raises(ConfigError, match=rf"{re.escape(key)}='?wrong'? "):
            build(wrong, group, **given)


@pytest.mark.parametrize("group", [*GROUPS, "table"])
def test_every_choice_explains_itself_in_its_first_comment(group):
    explained = choices(group)
    assert sorted(explained) == chosen(group)
    assert all(explained.values())


def test_every_folder_of_choices_is_on_the_help_page():
    found = {path.parent.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("[!_]*.yaml")}
    assert found - {".", "table", "hydra/sweeper", "hydra/launcher", "recipe/for_model"} == set(GROUPS)
    for group in GROUPS:
        assert f"\n{group}=  " in page()


@pytest.mark.parametrize("data", chosen("data"))
def test_every_data_set_gives_images_in_the_unit_range(compose_config, digits, data):
    built = build(compose_config(f"data={data}").data, "data")
    images, labels = next(built.training_batches(1, 0, 64))
    if data in ("r", "rts", "p", "e", "none"):  # as the paper has them
        assert built.image_shape == ((1, 42, 42) if data == "rts" else (1, 28, 28))
    assert images.shape == (64, *built.image_shape)
    assert labels.shape == (64,)
    assert 0 <= images.min() < images.max() <= 1


@pytest.mark.parametrize(
    "data", [data for data in chosen("data") if "_mnist" in (CONFIGS / f"data/{data}.yaml").read_text()]
)
def test_every_distorted_mnist_can_be_undone_to_the_size_of_the_digits(compose_config, digits, data):
    built = build(compose_config(f"data={data}", "data.undone=true").data, "data")
    images, _ = next(built.training_batches(1, 0, 64))
    assert images.shape == (64, *built.image_shape) == (64, 1, 28, 28)
    assert 0 <= images.min() < images.max() <= 1


@pytest.mark.parametrize("data", [data for data in chosen("data") if data != "none"])
def test_every_data_set_but_none_moves_pixels(compose_config, digits, data):
    moved, still = (build(compose_config(f"data={name}").data, "data") for name in (data, "none"))
    (images, _), (originals, _) = (next(built.evaluation_batches(8)) for built in (moved, still))
    assert images.shape != originals.shape or (images - originals).abs().mean() > 0.01


@pytest.mark.parametrize("data", chosen("data"))
@pytest.mark.parametrize("model", chosen("model"))
def test_every_model_suits_every_data_set_and_its_budget(compose_config, digits, model, data):
    whole = compose_config(f"model={model}", f"data={data}")
    config, images = whole.model, build(whole.data, "data")
    built = build(config, "model", image_shape=images.image_shape, classes=images.classes)
    if budget := config.get("parameters_budget"):
        assert 0.95 * budget < parameter_count(built) <= budget
    assert parameter_count(built) > 0


@pytest.mark.parametrize("transform", chosen("transform"))
@pytest.mark.parametrize("model", [model for model in chosen("model") if is_stn(model)])
def test_every_transform_goes_with_every_stn_model(compose_config, model, transform):
    config = compose_config(f"model={model}", f"transform={transform}")
    built = build(config.model, "model", image_shape=(1, 28, 28), classes=10)
    assert type(built.transformer.transform).__name__ == config.transform._target_.split(".")[-1]
    assert built.transformer.regression.out_features == built.transformer.transform.num_params
    assert parameter_count(built) <= config.model.parameters_budget


@pytest.mark.parametrize("model", [model for model in chosen("model") if not is_stn(model)])
def test_a_model_without_a_transformer_takes_no_transform(compose_config, model):
    assert compose_config(f"model={model}").transform is None
    with pytest.raises(ConfigCompositionException, match="Could not override 'transform'"):
        compose_config(f"model={model}", "transform=tps")


@pytest.mark.parametrize("recipe", chosen("recipe"))
def test_every_recipe_is_one(compose_config, recipe):
    built = build(compose_config(f"recipe={recipe}").recipe, "recipe")
    assert isinstance(built, Recipe)
    assert built.total_steps(60_000) > 0
    assert 0 < built.schedule(0, 100) <= 1


@pytest.mark.parametrize("optimiser", chosen("recipe/optimiser"))
@pytest.mark.parametrize("recipe", chosen("recipe"))
def test_every_optimiser_goes_with_every_recipe(compose_config, recipe, optimiser):
    config = compose_config(f"recipe={recipe}", f"recipe/optimiser={optimiser}")
    model = build(config.model, "model", image_shape=(1, 28, 28), classes=10)
    built = build(config.recipe, "recipe").make_optimiser(model)
    assert type(built).__name__.lower() == optimiser
    assert built.param_groups[0]["lr"] == config.recipe.optimiser.lr


def exceptions_of(name):
    """What a file of `recipe/for_model` sets, with those that it starts from."""
    own = OmegaConf.load(CONFIGS / f"recipe/for_model/{name}.yaml")
    others = [other for other in own.pop("defaults", []) if other != "_self_"]
    return OmegaConf.merge(*map(exceptions_of, others), own)


@pytest.mark.parametrize("name", chosen("recipe/for_model"))
def test_every_exception_for_a_model_belongs_to_a_recipe_and_a_model_and_is_taken(compose_config, name):
    pairs = [(r, m) for r, m in itertools.product(chosen("recipe"), chosen("model")) if f"{r}_{m}" == name]
    assert len(pairs) == 1
    recipe, model = pairs[0]
    assert (exceptions := exceptions_of(name))
    composed = compose_config(f"recipe={recipe}", f"model={model}").recipe
    assert OmegaConf.merge(composed, exceptions) == composed
    build(composed, "recipe")


def test_the_keys_of_a_recipe_are_its_constructors_and_each_is_explained():
    explained = comments("recipe", "_recipe")
    explained.pop("_target_")
    assert set(explained) == {field.name for field in fields(Recipe)}
    assert all(explained.values())


def test_the_root_keys_are_the_schemas_and_each_is_explained():
    explained = comments("", "train")
    plain = {"seed", "device", "tag", "output", "trusted"}
    assert set(explained) == plain | {"checkpoint", "defaults", "hydra"}
    groups = {"data", "model", "transform", "recipe"}
    assert {field.name for field in fields(TrainConfig)} == plain | groups | {"checkpoint"}
    for key in plain:
        assert explained[key]
        assert f"\n  {key}=" in page()


def test_how_often_a_run_is_saved_is_explained_and_means_what_the_schema_says(compose_config):
    composed = OmegaConf.to_container(compose_config().checkpoint)
    assert composed == asdict(CheckpointConfig()) == asdict(Intervals(**composed))
    text = (CONFIGS / "train.yaml").read_text()
    for key in composed:
        assert re.search(rf"^  {key}: .*# .+; null: never$", text, re.MULTILINE)
        assert f"checkpoint.{key}=" in page()


def test_a_sweeper_is_a_plugin_that_can_be_built(compose_config):
    Plugins.instance()
    sweeper = instantiate(compose_config(hydra=True).hydra.sweeper)
    assert type(sweeper).__name__ == "GridSweeper"
    assert sweeper.grids == []


def test_the_default_launcher_is_a_plugin_that_can_be_built(compose_config):
    Plugins.instance()
    launcher = instantiate(compose_config("device=cpu", hydra=True).hydra.launcher)
    assert type(launcher).__name__ == "LocalLauncher"
    assert (launcher.jobs, launcher.per_gpu, launcher.device) == (None, 1, "cpu")
    assert launcher.environment == {run_log.VARIABLE: "log.txt"}


@pytest.mark.parametrize(("name", "plugin"), [("ray", "RayLauncher"), ("slurm", "SlurmLauncher")])
def test_a_launcher_is_a_plugin_that_can_be_built_where_its_engine_is_not_installed(compose_config, name, plugin):
    Plugins.instance()
    assert type(instantiate(compose_config(f"hydra/launcher={name}", hydra=True).hydra.launcher)).__name__ == plugin


def test_a_run_on_slurm_has_a_thread_per_core_and_is_resumed(compose_config):
    words = ("hydra/launcher=slurm", "hydra.launcher.cpus_per_task=3", "output=/shared")
    launcher = instantiate(compose_config(*words, hydra=True).hydra.launcher)
    assert "export OMP_NUM_THREADS=3" in launcher.parameters["setup"]
    assert launcher.parameters["max_num_timeout"] > 0
    assert launcher.parameters["submitit_folder"] == "/shared/.submitit/%j"


def jobs(grids):
    """Each run of a sweep as a mapping from key to value."""
    for grid in grids:
        for values in itertools.product(*grid.values()):
            yield dict(zip(grid, values, strict=True))


@pytest.mark.parametrize("sweep", chosen("sweep"))
def test_every_run_of_every_sweep_composes_and_has_a_folder_of_its_own(compose_config, sweep):
    grids = OmegaConf.to_container(compose_config(f"sweep={sweep}", hydra=True).hydra.sweeper.grids)
    # the folder's dependence on data and seed is tested below: one of each will do
    few = [{key: values[:1] if key in ("data", "seed") else values for key, values in grid.items()} for grid in grids]
    folders = [run_folder(compose_config, *(f"{key}={value}" for key, value in job.items())) for job in jobs(few)]
    assert len(set(folders)) == len(folders) > 1


def test_the_sweep_of_table_1_is_its_32_cells_with_three_seeds_each(compose_config):
    grids = OmegaConf.to_container(compose_config("sweep=distorted_mnist", hydra=True).hydra.sweeper.grids)
    runs = list(jobs(grids))
    spec = parse_spec((CONFIGS / "table/distorted_mnist.yaml").read_text(), "distorted_mnist")
    published = [row for row in spec.rows if any(row.published)]
    cells = [{**row.match, **column.match} for row in published for column in spec.columns]
    assert len(cells) == 32
    assert len(runs) == len({tuple(sorted(run.items())) for run in runs}) == 96
    for cell in cells:
        seeds = [run["seed"] for run in runs if {"transform": None, **run} == {**cell, "seed": run["seed"]}]
        assert seeds == [1, 2, 3], cell


def test_the_sweep_of_bounds_is_the_rows_of_the_table_that_name_it(compose_config):
    runs = list(jobs(OmegaConf.to_container(compose_config("sweep=bounds", hydra=True).hydra.sweeper.grids)))
    assert all((run.get("data.undone"), run["data"] == "none") in ((True, False), (None, True)) for run in runs)
    made = [(run["model"], run["data"], run.get("tag"), run["seed"]) for run in runs]
    spec = parse_spec((CONFIGS / "table/distorted_mnist.yaml").read_text(), "distorted_mnist")
    cells = [row.match_in(column) for row in spec.rows if row.sweep == "bounds" for column in spec.columns]
    wanted = {(cell["model"], cell["data"], cell["tag"], seed) for cell in cells for seed in (1, 2, 3)}
    assert len(made) == len(set(made)) == 30
    assert set(made) == wanted


@pytest.mark.parametrize("table", chosen("table"))
def test_every_table_names_choices_that_exist(table):
    spec = parse_spec((CONFIGS / "table" / f"{table}.yaml").read_text(), table)
    assert {spec.sweep, *(row.sweep for row in spec.rows)} <= {None, *chosen("sweep")}
    for part in [*spec.rows, *spec.columns]:
        for group, choice in part.match.items():
            assert group == "tag" or choice is None or choice in chosen(group), part


def run_folder(compose_config, *overrides):
    hydra = compose_config(*overrides, hydra=True).hydra
    assert (hydra.sweep.dir, hydra.sweep.subdir) == (".", hydra.run.dir)  # the same folder in a sweep
    return hydra.run.dir


@pytest.mark.parametrize(
    ("overrides", "folder"),
    [
        ([], "outputs/runs/r/cnn_stn-affine/fast/seed1"),
        (["model=fcn"], "outputs/runs/r/fcn-plain/fast/seed1"),
        (["model=fcn_stn", "transform=tps"], "outputs/runs/r/fcn_stn-tps/fast/seed1"),
        (["data=rts", "recipe=paper", "seed=7"], "outputs/runs/rts/cnn_stn-affine/paper/seed7"),
        (["tag=wide"], "outputs/runs/r/cnn_stn-affine/fast/seed1-wide"),
        (["output=/scratch"], "/scratch/r/cnn_stn-affine/fast/seed1"),
        (["recipe.epochs=3", "device=cpu"], "outputs/runs/r/cnn_stn-affine/fast/seed1"),
    ],
)
def test_the_run_folder_is_made_of_choices(compose_config, overrides, folder):
    assert run_folder(compose_config, *overrides) == folder


@pytest.mark.parametrize(
    "override",
    ["modle=cnn", "model.unts=3", "data.distortion.max_degree=45", "recipe.optimiser.nesterov=true", "transform.row=5"],
)
def test_a_misspelt_key_is_refused(compose_config, override):
    with pytest.raises(HydraException, match=f"Could not override '{override.split('=')[0]}'"):
        compose_config("model=cnn_stn", override)


@pytest.mark.parametrize(
    "override",
    ["seed=abc", "seed=1.5", "trusted=os", "tag=[a]", "checkpoint.every_minutes=soon", "checkpoint.every_steps=1.5"],
)
def test_a_root_key_of_the_wrong_type_is_refused(compose_config, override):
    with pytest.raises(HydraException, match=f"Error merging override {re.escape(override)}"):
        compose_config(override)


LINES = [line for line in EXAMPLES.splitlines() if line.startswith("  stn-train ") and "--config-dir" not in line]


@pytest.mark.parametrize("line", LINES)
def test_every_example_on_the_help_page_composes(compose_config, line):
    words = line.split("   ")[0].split()[1:]
    overrides = [word.split(",")[0] for word in words if "=" in word]
    assert overrides
    assert compose_config(*overrides).recipe.batch_size > 0
