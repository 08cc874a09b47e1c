"""Records become cells: nothing is mixed, counted twice or left out without a word."""

import itertools
import random
from importlib.resources import files

import pytest

from stn_bench.results.comparisons import with_tests
from stn_bench.results.spec import parse_spec
from stn_bench.results.table import TagOfRow, build_table, with_runs

SMALL = """
title: Errors
source: a paper
sweep: small
columns:
  - {label: R, match: {data: r}}
  - {label: E, match: {data: e}}
rows:
  - {label: CNN, match: {model: cnn, transform: null}, published: [1.2, 1.4]}
  - {label: ST-CNN, transform_label: Aff, match: {model: cnn_stn, transform: affine}, published: [0.7, null]}
  - {label: ST-CNN, transform_label: TPS, match: {model: cnn_stn, transform: tps}}
"""


@pytest.fixture
def spec():
    return parse_spec(SMALL, "small")


def seeds_of(table):
    return [[cell.seeds for cell in row] for row in table.rows]


def test_a_run_counts_in_the_one_cell_that_matches_its_choices(spec, make_record):
    runs = [make_record("cnn_stn", transform, data) for transform in ("affine", "tps") for data in ("r", "e")]
    table = build_table(spec, [*runs, make_record("cnn", None, "e"), make_record("fcn", None, "r")])
    assert [[cell.runs for cell in row] for row in table.rows] == [
        [(), (make_record("cnn", None, "e"),)],
        [(runs[0],), (runs[1],)],
        [(runs[2],), (runs[3],)],
    ]


def test_a_cell_holds_mean_deviation_seeds_and_the_distance_to_the_paper(spec, make_record):
    cell = build_table(spec, [make_record(seed=s, errors=e) for s, e in ((3, 140), (1, 110), (2, 125))]).rows[0][0]
    assert cell.seeds == (1, 2, 3)
    assert cell.mean == pytest.approx(0.0125)
    assert cell.sd == pytest.approx(0.0015)
    assert cell.difference == pytest.approx(0.0005)


def test_a_single_seed_has_no_deviation_and_an_empty_cell_has_nothing(spec, make_record):
    one, missing = build_table(spec, [make_record()]).rows[0]
    assert (one.mean, one.sd) == (0.012, None)
    assert (missing.seeds, missing.mean, missing.sd, missing.difference) == ((), None, None, None)


def test_where_nothing_was_published_there_is_no_difference(spec, make_record):
    assert build_table(spec, [make_record("cnn_stn", "affine", "e")]).rows[1][1].difference is None


def test_the_order_of_the_records_does_not_matter(spec, make_record):
    runs = [
        make_record(model, transform, seed=seed, errors=100 + seed, recipe=recipe, finished_at=f"2025-03-0{day}")
        for model, transform in (("cnn", None), ("cnn_stn", "tps"))
        for seed, recipe, day in itertools.product((1, 2), ("fast", "paper"), (1, 2))
    ]
    table = build_table(spec, runs)
    for seed in range(5):
        assert build_table(spec, random.Random(seed).sample(runs, len(runs))) == table


@pytest.mark.parametrize(
    ("recipes", "asked", "shown", "note"),
    [
        (("paper", "fast"), None, "fast", "Only runs of recipe fast are shown; see others with `--recipe paper`."),
        (("paper", "fast"), "paper", "paper", "Only runs of recipe paper are shown; see others with `--recipe fast`."),
        (("paper", "tiny"), None, "paper", "Only runs of recipe paper are shown; see others with `--recipe tiny`."),
        (
            ("paper", "fast"),
            "papr",
            None,
            "No run has recipe papr; see others with `--recipe fast` or `--recipe paper`.",
        ),
    ],
)
def test_recipes_are_never_mixed_and_the_others_are_named(spec, make_record, recipes, asked, shown, note):
    table = build_table(spec, [make_record(recipe=r, seed=i) for i, r in enumerate(recipes)], recipe=asked)
    assert [run.choices["recipe"] for cell in table.cells for run in cell.runs] == ([shown] if shown else [])
    assert note in table.notes


def test_a_single_recipe_is_shown_whatever_its_name(spec, make_record):
    table = build_table(spec, [make_record(recipe="tiny")])
    assert (table.recipe, table.notes) == ("tiny", ())


def test_a_recipe_that_only_other_tables_use_is_not_mentioned(spec, make_record):
    assert build_table(spec, [make_record(), make_record("fcn", recipe="paper")]).notes == ()


def test_a_row_may_ask_for_its_own_recipe(make_record):
    text = SMALL.replace("transform: null}", "transform: null, recipe: paper}")
    runs = [make_record(recipe="paper", seed=4), make_record(recipe="fast"), make_record("cnn_stn", "tps")]
    table = build_table(parse_spec(text, "small"), runs)
    assert seeds_of(table) == [[(4,), ()], [(), ()], [(1,), ()]]
    assert table.notes == ()


def test_a_tagged_run_counts_only_where_its_tag_is_asked_for(spec, make_record):
    runs = [make_record(seed=1), make_record(seed=2, tag="wide"), make_record(seed=3, tag="deep")]
    table = build_table(spec, runs)
    assert table.rows[0][0].seeds == (1,)
    assert table.notes == ("Runs with another tag are left out; see them with `--tag deep` or `--tag wide`.",)
    assert build_table(spec, runs, tag="wide").rows[0][0].seeds == (2,)


def test_a_run_evaluated_on_validation_images_does_not_count(spec, make_record):
    table = build_table(spec, [make_record(evaluated_on="validation")])
    assert seeds_of(table) == [[(), ()]] * 3
    assert table.notes == ("Runs evaluated on validation images are left out (1).",)


def test_a_copy_of_a_record_is_counted_once(spec, make_record, tmp_path):
    cell = build_table(spec, [make_record(folder=tmp_path / "a"), make_record(folder=tmp_path / "b")]).rows[0][0]
    assert len(cell.runs) == 1


def test_of_two_runs_of_a_seed_the_first_to_finish_counts_and_both_are_named(spec, make_record, tmp_path):
    early = make_record(errors=130, folder=tmp_path / "early", finished_at="2025-03-01T12:00:00+00:00")
    late = make_record(errors=90, folder=tmp_path / "late", finished_at="2025-03-02T12:00:00+00:00")
    table = build_table(spec, [late, early])
    assert table.rows[0][0].runs == (early,)
    (note,) = table.notes
    assert note.startswith("CNN on R: seed 1 was run more than once")
    assert str(early.folder) in note
    assert str(late.folder) in note


def test_runs_that_differ_in_more_than_the_seed_are_noted_by_key_and_value(spec, make_record):
    configs = [{"seed": s, "recipe": {"lr": lr, "clip": 1.0}} for s, lr in ((1, 0.1), (2, 0.1), (3, 0.2))]
    table = build_table(spec, [make_record(seed=config["seed"], config=config) for config in configs])
    assert table.rows[0][0].seeds == (1, 2, 3)
    assert table.notes == ("CNN on R: the mean mixes runs that differ in more than the seed: `recipe.lr` (0.1, 0.2).",)


def test_a_row_whose_columns_were_trained_by_two_recipes_of_one_name_is_noted(make_record):
    spec = parse_spec(files("stn_bench.configs").joinpath("table/distorted_mnist.yaml").read_text(), "distorted_mnist")
    runs = [
        make_record(model, data=data, config={"data": {"name": data}, "recipe": {"epochs": epochs}})
        for model, data, epochs in (("cnn", "r", 30), ("cnn", "p", 40), ("cnn", "e", 40), ("fcn", "r", 9))
    ]
    assert build_table(spec, runs).notes == (
        "CNN: the columns were not trained by one recipe, though it has one name: `recipe.epochs` (30, 40).",
    )


def test_a_column_whose_rows_were_run_on_two_data_of_one_name_is_noted_but_for_rows_of_a_tag_of_their_own(make_record):
    spec = parse_spec(files("stn_bench.configs").joinpath("table/distorted_mnist.yaml").read_text(), "distorted_mnist")
    runs = [
        make_record(model, data="r", tag=tag, config={"data": {"undone": undone}})
        for model, tag, undone in (("cnn", None, False), ("fcn", None, True), ("cnn", "oracle", True))
    ]
    assert build_table(spec, runs).notes == (
        "R: the rows were not run on one data, though it has one name: `data.undone` (True, False).",
    )
    assert build_table(spec, [runs[0], runs[2]]).notes == ()


COMPARED = (
    SMALL
    + """
comparisons:
  - {better: ST-CNN Aff, than: CNN}
  - {better: ST-CNN TPS, than: CNN}
"""
)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"recipe": {"batch_size": 256, "optimiser": {"lr": 0.2}}}, "`recipe.optimiser.lr` (0.1, 0.2)"),
        ({"model": {"parameters_budget": 20_000}}, "`model.parameters_budget` (400000, 20000)"),
        ({"model": {"parameters_budget": 400_000, "filters": 30}}, None),  # what a row is
    ],
    ids=["recipe", "budget", "model"],
)
@pytest.mark.parametrize("seed", [1, 2], ids=["a seed in common", "none"])
def test_rows_that_are_compared_but_were_not_trained_alike_are_noted_once(make_record, change, told, seed):
    spec = parse_spec(COMPARED, "small")
    config = make_record().config | {"model": {"parameters_budget": 400_000}}
    runs = [make_record("cnn_stn", transform, data, config=config) for transform in ("affine", "tps") for data in "re"]
    table = build_table(spec, [*runs, *(make_record(data=data, seed=seed, config=config | change) for data in "re")])
    places = "ST-CNN Aff and CNN on R, ST-CNN TPS and CNN on R, ST-CNN Aff and CNN on E and 1 more"
    assert table.notes == (f"{places}: the rows are compared, but were not trained alike: {told}.",) * (
        told is not None
    )
    assert not [remark for remark in with_tests(table).comparisons.remarks if "alike" in remark]


def test_what_differs_from_seed_to_seed_in_all_rows_alike_is_not_noted_as_a_difference_between_rows(make_record):
    rows = [("cnn", None), ("cnn_stn", "affine"), ("cnn_stn", "tps")]
    runs = [make_record(*row, seed=seed, precision=took) for row in rows for seed, took in ((1, "fp32"), (2, "bf16"))]
    (note,) = build_table(parse_spec(COMPARED, "small"), runs).notes
    assert "the mean mixes runs" in note


def test_the_precision_that_was_used_counts_and_not_the_one_that_was_asked_for(spec, make_record):
    asked = [{"recipe": {"precision": word}} for word in ("auto", "bf16", "auto")]
    runs = [make_record(seed=i, config=config, precision="bf16") for i, config in enumerate(asked)]
    assert build_table(spec, runs).notes == ()
    (note,) = build_table(spec, [*runs, make_record(seed=4, config=asked[0], precision="fp32")]).notes
    assert "`precision` (bf16, fp32)" in note
    assert "recipe.precision" not in note


@pytest.mark.parametrize(("field", "value"), [("data_sha256", "f" * 64), ("images", 5000)])
def test_runs_on_other_data_are_noted(spec, make_record, field, value):
    (note,) = build_table(spec, [make_record(seed=1), make_record(seed=2, **{field: value})]).notes
    assert f"`{field}`" in note


def test_a_key_that_one_config_lacks_is_a_difference(spec, make_record):
    (note,) = build_table(spec, [make_record(config={}), make_record(seed=2, config={"average": 0.9})]).notes
    assert "`average` (absent, 0.9)" in note


def test_long_lists_of_differences_are_cut_and_counted(spec, make_record):
    configs = [{f"key{i}": value for i in range(8)} for value in (1, 2)]
    (note,) = build_table(spec, [make_record(seed=i, config=config) for i, config in enumerate(configs)]).notes
    assert "`key4` (1, 2) and 3 more." in note


def test_one_difference_in_many_cells_is_one_note(make_record):
    spec = parse_spec(files("stn_bench.configs").joinpath("table/distorted_mnist.yaml").read_text(), "distorted_mnist")
    runs = [
        make_record(model, data=data, seed=seed, config={"batch_size": 64 * seed})
        for model in ("fcn", "cnn")
        for data in ("r", "p", "e")
        for seed in (1, 2)
    ]
    assert build_table(spec, runs).notes == (
        "FCN on R, FCN on P, FCN on E and 3 more: the mean mixes runs that differ in more than the seed: "
        "`batch_size` (64, 128).",
    )


def test_where_a_run_was_made_is_no_difference_but_where_data_of_ones_own_lie_is(spec, make_record):
    def notes(data):
        configs = [
            {
                "seed": seed,
                "device": device,
                "output": out,
                "data": {"_target_": data, "folder": out},
                "checkpoint": {"every_steps": seed},
            }
            for seed, device, out in ((1, "cpu", "here"), (2, "cuda", "there"))
        ]
        return build_table(spec, [make_record(seed=config["seed"], config=config) for config in configs]).notes

    assert notes("stn_bench.data.distorted.distorted_mnist") == ()
    (note,) = notes("mine.digits")
    assert "`data.folder` (here, there)" in note


def test_rows_and_columns_without_a_run_can_be_left_out_with_a_word(spec, make_record):
    table = with_runs(build_table(spec, [make_record(data="e"), make_record("cnn_stn", "tps", "e")]))
    assert [[(cell.row.name, cell.column.label) for cell in row] for row in table.rows] == [
        [("CNN", "E")],
        [("ST-CNN TPS", "E")],
    ]
    assert table.notes == ("Rows and columns without a run are left out: 2 of 6 cells are shown.",)


def test_a_table_with_a_run_in_every_row_and_column_is_left_as_it_is(spec, make_record):
    runs = [make_record(data="e"), make_record("cnn_stn", "affine", "r"), make_record("cnn_stn", "tps", "r")]
    table = build_table(spec, runs)
    assert with_runs(table) == table


def test_the_published_table_is_table_1_of_the_paper():
    spec = parse_spec(files("stn_bench.configs").joinpath("table/distorted_mnist.yaml").read_text(), "distorted_mnist")
    assert [column.label for column in spec.columns] == ["R", "RTS", "P", "E"]
    published = {row.name: row.published for row in spec.rows if any(row.published)}
    assert {name: [round(100 * error, 6) for error in errors] for name, errors in published.items()} == {
        "FCN": [2.1, 5.2, 3.1, 3.2],
        "CNN": [1.2, 0.8, 1.5, 1.4],
        "ST-FCN Aff": [1.2, 0.8, 1.5, 2.7],
        "ST-FCN Proj": [1.3, 0.9, 1.4, 2.6],
        "ST-FCN TPS": [1.1, 0.8, 1.4, 2.4],
        "ST-CNN Aff": [0.7, 0.5, 0.8, 1.2],
        "ST-CNN Proj": [0.8, 0.6, 0.8, 1.3],
        "ST-CNN TPS": [0.7, 0.5, 0.8, 1.1],
    }


BOUNDED = """
title: Errors
source: me
sweep: cells
columns:
  - {label: R, match: {data: r}}
  - {label: E, match: {data: e}}
rows:
  - {label: CNN, match: {model: cnn, transform: null}}
  - {label: CNN oracle, match: {model: cnn, transform: null, tag: oracle}, sweep: bounds}
  - {label: CNN floor, match: {model: cnn, transform: null, data: none, tag: null}, sweep: bounds, spans: true}
"""


@pytest.fixture
def bounded():
    return parse_spec(BOUNDED, "bounded")


def test_a_row_with_a_tag_of_its_own_has_the_runs_with_that_tag_and_they_are_not_said_to_be_left_out(
    bounded, make_record
):
    runs = [make_record(seed=1), make_record(seed=2, tag="oracle"), make_record(seed=3, tag="wide")]
    table = build_table(bounded, runs)
    assert seeds_of(table) == [[(1,), ()], [(2,), ()], [(), ()]]
    assert table.notes == ("Runs with another tag are left out; see them with `--tag wide`.",)
    table = build_table(bounded, runs, tag="wide")
    assert seeds_of(table) == [[(3,), ()], [(2,), ()], [(), ()]]
    assert table.notes == ()


def test_a_tag_that_a_row_has_for_itself_is_not_asked_for_in_the_others(bounded, make_record):
    with pytest.raises(TagOfRow, match="runs with the tag oracle are those of CNN oracle: ask for the table without"):
        build_table(bounded, [make_record(tag="oracle")], tag="oracle")


def test_a_row_that_spans_the_columns_has_its_runs_in_each_and_counts_as_one_cell(bounded, make_record):
    table = build_table(bounded, [make_record(data="none", seed=seed) for seed in (1, 2)])
    assert seeds_of(table)[2] == [(1, 2), (1, 2)]
    assert len(table.cells) == 6
    assert [(cell.row.name, cell.column.label) for cell in table.distinct] == [
        ("CNN", "R"),
        ("CNN", "E"),
        ("CNN oracle", "R"),
        ("CNN oracle", "E"),
        ("CNN floor", "R"),
    ]


def test_a_remark_on_a_row_that_spans_the_columns_is_made_once(bounded, make_record):
    runs = [make_record(data="none", seed=seed, config={"lr": seed}) for seed in (1, 2)]
    assert build_table(bounded, runs).notes == (
        "CNN floor: the mean mixes runs that differ in more than the seed: `lr` (1, 2).",
    )


def test_a_row_that_spans_the_columns_keeps_none_that_has_no_other_run(bounded, make_record):
    table = with_runs(build_table(bounded, [make_record(data="none"), make_record(data="e")]))
    assert [[(cell.row.name, cell.column.label) for cell in row] for row in table.rows] == [
        [("CNN", "E")],
        [("CNN floor", "E")],
    ]
    assert table.notes == ("Rows and columns without a run are left out: 2 of 5 cells are shown.",)
    alone = with_runs(build_table(bounded, [make_record(data="none")]))
    assert [[(cell.row.name, cell.column.label) for cell in row] for row in alone.rows] == [
        [("CNN floor", "R"), ("CNN floor", "E")]
    ]


def test_a_recipe_chooses_the_runs_of_bounds_too(bounded, make_record):
    runs = [
        make_record(data=data, tag=tag, recipe=recipe)
        for data, tag in (("none", None), ("r", "oracle"))
        for recipe in ("fast", "paper")
    ]
    table = build_table(bounded, runs, recipe="paper")
    assert {run.choices["recipe"] for cell in table.cells for run in cell.runs} == {"paper"}
    assert seeds_of(table)[1:] == [[(1,), ()], [(1,), (1,)]]
    assert table.notes == ("Only runs of recipe paper are shown; see others with `--recipe fast`.",)


@pytest.mark.parametrize(("canvas", "pool_above", "told"), [({}, 28, False), ({}, 20, True), ([42, 42], 28, True)])
def test_what_a_transformer_makes_of_large_canvases_is_no_difference_on_small_ones(
    spec, make_record, canvas, pool_above, told
):
    data = {"distortion": {"output_size": canvas} if canvas else {}}
    models = [{"pool_above": pool_above}, {"pool_above": pool_above, "output_size": None}]
    runs = [make_record(seed=i, config={"data": data, "model": model}) for i, model in enumerate(models)]
    assert build_table(spec, runs).notes == ()
    wide = {"data": data, "model": {"pool_above": pool_above, "output_size": 56}}
    notes = build_table(spec, [*runs, make_record(seed=3, config=wide)]).notes
    assert ["`model.output_size` (None, 56)" in note for note in notes] == [True] * told


def test_a_run_from_before_data_could_be_undone_does_not_differ_from_one_of_data_that_are_not(spec, make_record):
    configs = [{"data": {"fresh": True}}, {"data": {"fresh": True, "undone": False}}]
    runs = [make_record(seed=seed, config=config) for seed, config in enumerate(configs)]
    assert build_table(spec, runs).notes == ()
    (note,) = build_table(spec, [*runs, make_record(seed=3, config={"data": {"fresh": True, "undone": True}})]).notes
    assert "`data.undone` (False, True)" in note


def test_every_choice_that_a_table_matches_on_is_one_of_the_command_line():
    configs = files("stn_bench.configs")
    for file in configs.joinpath("table").iterdir():
        if not file.name.endswith(".yaml"):
            continue
        spec = parse_spec(file.read_text(), file.name)
        matches = [part.match for part in (*spec.rows, *spec.columns)]
        chosen = {
            f"{group}/{name}.yaml" for match in matches for group, name in match.items() if name and group != "tag"
        }
        assert [path for path in sorted(chosen) if not configs.joinpath(path).is_file()] == []
