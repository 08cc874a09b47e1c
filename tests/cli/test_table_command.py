"""`stn-table`: every answer is a table or one sentence."""

import json
import subprocess
import sys

import numpy as np
import pytest

from stn_bench.cli.table import main
from stn_bench.results.record import RunRecord, write_record
from stn_bench.results.statistics import wilson_interval


def leave_run(root, model="cnn", transform=None, data="r", recipe="fast", tag=None, seed=1, evaluated_on="test"):
    folder = root / data / f"{model}-{transform or 'plain'}" / recipe / f"seed{seed}{tag or ''}"
    folder.mkdir(parents=True)
    record = RunRecord(
        choices={"data": data, "model": model, "transform": transform, "recipe": recipe, "tag": tag},
        seed=seed,
        evaluated_on=evaluated_on,
        error=0.0131,
        errors=131,
        images=10_000,
        wilson_95=wilson_interval(131, 10_000),
        steps=7020,
        epochs=30,
        images_seen=1_797_120,
        seconds=61.5,
        images_per_second=29221.5,
        parameters=399_870,
        device="CPU, 2 threads",
        precision="fp32",
        config={"seed": seed},
        versions={"torch": "2.15.0"},
        git_commit=None,
        data_sha256="0" * 64,
        warp={},
        finished_at="2025-03-01T12:00:00+00:00",
    )
    return write_record(folder, record)


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_runs_of_the_default_folder_fill_table_1(tmp_path, capsys):
    leave_run(tmp_path / "outputs/runs")
    assert main([]) == 0
    out, err = capsys.readouterr()
    assert "arXiv:1506.02025, Table 1" in out
    assert "| CNN        | -           | ours  | 1.31 (1) |" in out
    assert err == ""


def test_bounds_stand_below_the_published_rows_without_a_line_of_the_papers(tmp_path, capsys):
    leave_run(tmp_path / "outputs/runs", data="none")
    leave_run(tmp_path / "outputs/runs", data="e", tag="oracle")
    assert main([]) == 0
    out = capsys.readouterr().out
    lines = [[word.strip() for word in line.split("|")[1:-1]] for line in out.splitlines() if line.startswith("| ")]
    assert lines[-4:] == [
        ["FCN oracle", "-", "ours", "-", "-", "-", "-"],
        ["CNN oracle", "-", "ours", "-", "-", "-", "1.31 (1)"],
        ["FCN floor", "-", "ours", "-", "-", "-", "-"],
        ["CNN floor", "-", "ours", *["1.31 (1)"] * 4],
    ]
    assert "A cell marked - has no run, 40 of 42; 2 of 42 have fewer than 3 runs." in out
    assert "another tag" not in out
    assert out.endswith("      stn-train sweep=distorted_mnist recipe=fast\n      stn-train sweep=bounds recipe=fast\n")


def test_a_tag_that_no_run_has_is_one_sentence(tmp_path, capsys):
    leave_run(tmp_path / "outputs/runs", data="e", tag="oracle")
    leave_run(tmp_path / "outputs/runs", tag="wide")
    assert main(["--tag", "wied"]) == 1
    assert capsys.readouterr() == (
        "",
        "stn-table: no run has the tag 'wied': did you mean wide?; there are oracle, wide\n",
    )


def test_the_commands_of_a_tagged_table_say_that_they_lack_what_the_tag_stands_for(tmp_path, capsys):
    leave_run(tmp_path / "outputs/runs", tag="wide")
    assert main(["--tag", "wide"]) == 0
    assert "To fill them, with whatever else tag wide stands for added:" in capsys.readouterr().out


def test_a_tag_that_rows_have_for_themselves_is_one_sentence(tmp_path, capsys):
    leave_run(tmp_path / "outputs/runs", tag="oracle")
    assert main(["--tag", "oracle"]) == 1
    assert capsys.readouterr() == (
        "",
        "stn-table: runs with the tag oracle are those of FCN oracle, CNN oracle: ask for the table without it\n",
    )


def test_before_the_first_run_the_published_numbers_are_shown_and_stderr_says_so(capsys):
    assert main([]) == 0
    out, err = capsys.readouterr()
    assert "| paper | 2.1 | 5.2   | 3.1 | 3.2 |" in out
    assert "stn-train sweep=distorted_mnist\n      stn-train sweep=bounds\n" in out
    assert err == "stn-table: no run in outputs/runs counts in this table; every cell is missing\n"


def test_a_table_that_is_empty_since_all_runs_are_of_held_out_digits_says_so(tmp_path, capsys):
    leave_run(tmp_path / "outputs/runs", evaluated_on="validation")
    assert main([]) == 0
    assert "counts in this table: 1 of 1 are of held-out digits, and it is of test digits;" in capsys.readouterr().err


def test_a_folder_that_was_named_must_exist(capsys):
    assert main(["--runs", "nowhere"]) == 1
    assert capsys.readouterr() == ("", "stn-table: there is no folder nowhere: name one that holds runs\n")


def test_an_unknown_table_is_answered_with_the_nearest_name(capsys):
    assert main(["distored_mnits"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("stn-table: no table is called 'distored_mnits': did you mean distorted_mnist?; there are ")


def test_an_unknown_recipe_is_answered_with_the_nearest_name_and_no_table(capsys):
    assert main(["--recipe", "papr"]) == 1
    assert capsys.readouterr() == (
        "",
        "stn-table: no recipe is called 'papr': did you mean paper?; there are demo, fast, paper, smoke\n",
    )


def test_a_recipe_of_ones_own_is_known_by_its_runs(tmp_path, capsys):
    leave_run(tmp_path / "outputs" / "runs", recipe="mine")
    assert main(["--recipe", "mine"]) == 0
    out, err = capsys.readouterr()
    assert "| CNN        | -           | ours  | 1.31 (1) |" in out
    assert err == ""


def test_a_table_may_be_a_file_of_ones_own(tmp_path, capsys):
    leave_run(tmp_path / "runs")
    text = "{title: Mine, source: me, columns: [{label: R, match: {data: r}}], "
    text += "rows: [{label: Net, match: {model: cnn, transform: null}}]}"
    (tmp_path / "mine.yaml").write_text(text)
    assert main(["mine.yaml", "--runs", "runs"]) == 0
    assert "| Net     | 1.31 (1) |" in capsys.readouterr().out


def test_a_mistake_in_a_table_is_one_sentence(tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text("{title: Mine}")
    assert main(["mine.yaml"]) == 1
    assert capsys.readouterr() == ("", "stn-table: table mine lacks source, columns, rows: add it\n")


@pytest.mark.parametrize(
    ("form", "start"), [("markdown", "Distorted MNIST"), ("latex", "% needs"), ("csv", "row,column,"), ("json", "{\n")]
)
def test_every_format_can_be_asked_for(tmp_path, capsys, form, start):
    leave_run(tmp_path / "runs")
    assert main(["--runs", "runs", "--format", form]) == 0
    assert capsys.readouterr().out.startswith(start)


def test_recipe_and_tag_choose_the_runs(tmp_path, capsys):
    for seed, recipe, tag in ((1, "fast", None), (2, "paper", None), (3, "fast", "wide")):
        leave_run(tmp_path / "runs", recipe=recipe, tag=tag, seed=seed)

    def seeds(*options):
        assert main(["--runs", "runs", "--format", "json", *options]) == 0
        return [seed for cell in json.loads(capsys.readouterr().out)["cells"] for seed in cell["seeds"]]

    assert seeds() == [1]
    assert seeds("--recipe", "paper") == [2]
    assert seeds("--tag", "wide") == [3]


def test_several_folders_are_read_and_an_overlap_counts_once(tmp_path, capsys):
    leave_run(tmp_path / "a/b", seed=1)
    leave_run(tmp_path / "c", seed=2)
    assert main(["--runs", "a", "a/b", "c"]) == 0
    assert "1.31 ± 0.00 (2)" in capsys.readouterr().out


def test_rows_and_columns_without_a_run_can_be_left_out(tmp_path, capsys):
    leave_run(tmp_path / "runs")
    assert main(["--runs", "runs", "--rows-with-runs", "--format", "csv"]) == 0
    _, *lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[:2] for line in lines] == [["CNN", "R"]]


def test_a_file_gets_what_the_terminal_would_have_got(tmp_path, capsys):
    leave_run(tmp_path / "runs")
    main(["--runs", "runs"])
    printed = capsys.readouterr().out
    assert main(["--runs", "runs", "--output", "table.md"]) == 0
    assert capsys.readouterr().out == ""
    assert (tmp_path / "table.md").read_text(encoding="utf-8") == printed


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path, capsys):
    leave_run(tmp_path / "runs")
    assert main(["--runs", "runs", "--output", "no/such/folder.md"]) == 1
    assert "no/such/folder.md" in capsys.readouterr().err


def test_a_torn_record_is_named_and_the_table_is_printed_all_the_same(tmp_path, capsys):
    leave_run(tmp_path / "runs")
    torn = leave_run(tmp_path / "runs", seed=2)
    torn.write_text("{")
    assert main(["--runs", "runs"]) == 0
    out, err = capsys.readouterr()
    assert "1.31 (1)" in out
    assert err.startswith(f"stn-table: left out: {torn.relative_to(tmp_path)} is not whole JSON")


def test_notes_that_a_csv_has_no_place_for_go_to_stderr(tmp_path, capsys):
    for recipe in ("fast", "paper"):
        leave_run(tmp_path / "runs", recipe=recipe)
    assert main(["--runs", "runs", "--format", "csv"]) == 0
    assert (
        capsys.readouterr().err == "stn-table: Only runs of recipe fast are shown; see others with `--recipe paper`.\n"
    )


def test_help_lists_the_tables_with_their_first_comment(capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["--help"])
    assert leaving.value.code == 0
    assert "  distorted_mnist       Table 1 of the paper: test error on distorted MNIST" in capsys.readouterr().out


def test_a_table_needs_neither_torch_nor_hydra():
    program = "import sys; from stn_bench.cli.table import main; main([]); print({'torch', 'hydra'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "set()"


def test_only_tests_and_figures_import_what_they_need():
    program = "import sys; from stn_bench.cli.table import main; main([])\n"
    program += "print({'numpy', 'scipy', 'matplotlib'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "set()"


def test_help_imports_nothing_that_only_a_table_needs():
    program = "import sys; from stn_bench.cli.table import main\ntry: main(['--help'])\n"
    program += "except SystemExit: print({'yaml', 'tabulate', 'torch', 'numpy'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "set()"


def test_the_comparisons_are_tested_on_request(tmp_path, capsys):
    for model, transform in (("cnn", None), ("cnn_stn", "affine")):
        folder = leave_run(tmp_path / "runs", model, transform).parent
        labels = np.arange(10_000) % 10
        wrong = np.roll(np.arange(10_000) < 131, 100 if transform else 0)
        np.savez_compressed(folder / "predictions.npz", predictions=(labels + wrong) % 10, labels=labels)
    assert main(["--runs", "runs"]) == 0
    assert "Holm" not in capsys.readouterr().out
    assert main(["--runs", "runs", "--tests"]) == 0
    assert "- R, ST-CNN: Aff and CNN are not told apart (0.00 fewer, p = 1)." in capsys.readouterr().out
    assert main(["--runs", "runs", "--tests", "--format", "csv"]) == 0
    assert "\nR,ST-CNN Aff,CNN,CNN oracle,1,0.0,1,0.0,200,0.0,1.0,1.0,,,\n" in capsys.readouterr().out


def test_what_cannot_be_tested_is_told_where_a_csv_has_no_place_for_it(tmp_path, capsys):
    for model, transform in (("cnn", None), ("cnn_stn", "affine")):
        leave_run(tmp_path / "runs", model, transform)
    assert main(["--runs", "runs", "--tests", "--format", "csv"]) == 0
    assert "stn-table: Not tested over images, no predictions.npz beside the record: " in capsys.readouterr().err


def test_a_table_that_lists_no_comparisons_says_so(tmp_path, capsys):
    text = "{title: Mine, source: me, columns: [{label: R, match: {data: r}}], "
    (tmp_path / "mine.yaml").write_text(text + "rows: [{label: Net, match: {model: cnn, transform: null}}]}")
    leave_run(tmp_path / "runs")
    assert main(["mine.yaml", "--runs", "runs", "--tests"]) == 0
    out, err = capsys.readouterr()
    assert "| Net     | 1.31 (1) |" in out
    assert err.splitlines() == [
        "stn-table: table mine has nothing to test: list comparisons in its YAML",
        "stn-table: its commands train into outputs/runs; with output=DIR into another folder",
    ]


def test_a_figure_is_drawn_beside_the_table(tmp_path, capsys):
    leave_run(tmp_path / "runs")
    assert main(["--runs", "runs", "--figure", "figure.svg"]) == 0
    assert "<svg" in (tmp_path / "figure.svg").read_text(encoding="utf-8")
    assert "| CNN        | -           | ours  | 1.31 (1) |" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["figure.gif", "no/such/folder.png"])
def test_a_figure_that_cannot_be_written_is_one_sentence(tmp_path, capsys, name):
    leave_run(tmp_path / "runs")
    assert main(["--runs", "runs", "--figure", name]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("stn-table: ")
    assert name in err
    assert err.count("\n") == 1
