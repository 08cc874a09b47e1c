"""A table reads the same in every format, to the byte, and says what its marks mean."""

import csv
import json
import re
from dataclasses import replace

import pytest

from stn_bench.results import formats
from stn_bench.results.comparisons import with_tests
from stn_bench.results.spec import parse_spec
from stn_bench.results.table import build_table, with_runs

SPEC = """
title: Errors_100%
source: R&D
columns:
  - {label: R, match: {data: r}}
  - {label: E, match: {data: e}}
rows:
  - {label: CNN, transform_label: "-", match: {model: cnn, transform: null}, published: [1.2, 1.4]}
  - {label: ST-CNN, transform_label: TPS, match: {model: cnn_stn, transform: tps}, published: [0.7, 1.0]}
"""
ALL = [formats.markdown, formats.latex, formats.csv, formats.json]


@pytest.fixture
def spec():
    return parse_spec(SPEC, "small")


@pytest.fixture
def table(spec, make_record):
    """CNN on R at three seeds, ST-CNN on R at one, nothing on E."""
    runs = [make_record(seed=seed, errors=errors) for seed, errors in ((1, 122), (2, 131), (3, 125))]
    return build_table(spec, [*runs, make_record("cnn_stn", "tps", errors=74)])


def test_markdown_shows_ours_above_the_papers_and_what_is_missing(table):
    assert formats.markdown(table) == (
        "Errors_100%; recipe fast; paper: R&D\n"
        "\n"
        "| model   | transform   |       | R               | E   |\n"
        "|:--------|:------------|:------|:----------------|:----|\n"
        "| CNN     | -           | ours  | 1.26 ± 0.05 (3) | -   |\n"
        "|         |             | paper | 1.2             | 1.4 |\n"
        "| ST-CNN  | TPS         | ours  | **0.74** (1)    | -   |\n"
        "|         |             | paper | 0.7             | 1.0 |\n"
        "\n"
        "- ours: mean over n seeds ± their sample standard deviation (n); one seed alone has no ±. "
        "Bold: at or below the paper's, rounded as the paper rounds.\n"
        "- ± says how much seeds differ; the choice of test images adds to it: one run with 74 errors among 10,000 "
        "has a 95 % Wilson interval of 0.59 to 0.93 %.\n"
        "- A cell marked - has no run, 2 of 4; 1 of 4 have fewer than 3 runs. To fill them:\n"
        "\n"
        "      stn-train model=cnn data=e recipe=fast seed=1,2,3 -m\n"
        "      stn-train model=cnn_stn transform=tps data=r recipe=fast seed=2,3 -m\n"
        "      stn-train model=cnn_stn transform=tps data=e recipe=fast seed=1,2,3 -m\n"
    )


def test_latex_is_one_float_whose_lines_all_have_the_same_number_of_cells(table):
    text = formats.latex(table)
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    assert [line.count("&") for line in body.splitlines() if "&" in line] == [4] * 5
    assert r"\begin{tabular}{@{}lllll@{}}" in text
    assert r"CNN    & --        & ours  & 1.26\,$\pm$\,0.05 (3) & --  \\" in text
    assert r"ST-CNN & TPS       & ours  & \textbf{0.74} (1)     & --  \\" in text
    assert text.count("{") == text.count("}")
    assert re.findall(r"\\(begin|end)\{(\w+)\}", text) == [
        ("begin", "table"),
        ("begin", "tabular"),
        ("end", "tabular"),
        ("end", "table"),
    ]


def test_latex_escapes_what_latex_would_read(spec, make_record):
    spec = replace(spec, notes=(r"see `--tag a_b`, 5 % of {#1} ~ $2 & \x^y <z>",))
    text = formats.latex(build_table(spec, [make_record()]))
    assert r"\caption{Errors\_100\%; recipe fast; paper: R\&D}" in text
    assert (
        r"see \texttt{-{}-tag a\_b}, 5 \% of \{\#1\} \textasciitilde{} \$2 \& "
        r"\textbackslash{}x\textasciicircum{}y \textless{}z\textgreater{}\par"
    ) in text


def test_markdown_keeps_a_label_with_a_pipe_in_its_cell(make_record):
    table = build_table(parse_spec(SPEC.replace("label: TPS", "label: A|B"), "small"), [make_record()])
    assert r"| ST-CNN  | A\|B" in formats.markdown(table)


def test_csv_has_one_tidy_line_per_cell(table):
    lines = list(csv.DictReader(formats.csv(table).splitlines()))
    assert [(line["row"], line["column"], line["n"]) for line in lines] == [
        ("CNN", "R", "3"),
        ("CNN", "E", "0"),
        ("ST-CNN TPS", "R", "1"),
        ("ST-CNN TPS", "E", "0"),
    ]
    assert lines[0] == {
        "row": "CNN",
        "column": "R",
        "model": "cnn",
        "transform": "",
        "data": "r",
        "recipe": "fast",
        "tag": "",
        "mean_error_percent": "1.26",
        "sd_percent": "0.0458",
        "n": "3",
        "seeds": "1 2 3",
        "published_percent": "1.2",
        "difference_percent": "0.06",
    }
    assert (lines[1]["mean_error_percent"], lines[1]["difference_percent"]) == ("", "")
    assert lines[2]["sd_percent"] == ""


def test_json_holds_the_cells_of_the_csv_and_the_notes(spec, make_record):
    table = build_table(spec, [make_record(), make_record(recipe="paper")])
    content = json.loads(formats.json(table))
    from_csv = list(csv.DictReader(formats.csv(table).splitlines()))
    as_text = [
        {
            key: " ".join(map(str, value)) if key == "seeds" else "" if value is None else str(value)
            for key, value in c.items()
        }
        for c in content["cells"]
    ]
    assert as_text == from_csv
    assert content["notes"] == ["Only runs of recipe fast are shown; see others with `--recipe paper`."]
    assert len(content["to_fill"]) == 3


@pytest.mark.parametrize("write", ALL)
def test_the_same_runs_give_the_same_bytes_in_any_order(spec, make_record, write):
    runs = [make_record(seed=seed, errors=100 + 7 * seed) for seed in (1, 2, 3)]
    assert write(build_table(spec, runs)) == write(build_table(spec, runs[::-1]))


@pytest.mark.parametrize("write", [formats.markdown, formats.latex])
def test_a_note_of_the_table_is_shown_below_it(spec, make_record, write):
    text = write(build_table(replace(spec, notes=("An aside.",)), [make_record()]))
    assert text.index("An aside.") > text.index("ST-CNN")


@pytest.mark.parametrize("write", [formats.markdown, formats.latex, formats.json])
def test_the_note_of_a_row_is_told_once_and_only_where_one_of_its_rows_is_shown(make_record, write):
    noted = SPEC + "".join(
        f"  - {{label: {name}, match: {{model: {name}, transform: null}}, note: Two of a kind.}}\n"
        for name in ("A", "B")
    )
    table = build_table(parse_spec(noted, "small"), [make_record()])
    assert write(table).count("Two of a kind.") == 1
    assert "Two of a kind." not in write(with_runs(table))


def test_a_row_that_nothing_was_published_for_has_no_line_of_the_papers(make_record):
    floor = "  - {label: Floor, match: {model: cnn, transform: null, data: none}, sweep: floors, spans: true}\n"
    table = build_table(parse_spec(SPEC + floor, "small"), [make_record(data="none", errors=60)])
    lines = formats.markdown(table).splitlines()
    (at,) = (i for i, line in enumerate(lines) if line.startswith("| Floor"))
    assert lines[at].split("|")[3:] == [" ours  ", " 0.60 (1) ", " 0.60 (1) ", ""]
    assert lines[at + 1] == ""
    assert "- A cell marked - has no run, 4 of 5; 1 of 5 have fewer than 3 runs. To fill them:" in lines
    assert lines[-1] == "      stn-train sweep=floors recipe=fast seed=2,3"


@pytest.mark.parametrize(
    ("errors", "published", "bold"),
    [
        ((120,), 1.2, True),  # equal
        ((124,), 1.2, True),  # rounds down to it
        ((125,), 1.2, False),  # a half goes up, however its bits fall
        ((115,), 1.2, True),
        ((85,), 0.8, False),
        ((124, 125), 1.2, True),
        ((300,), 2.0, False),
        ((124,), 1.23, False),  # two published decimals are compared as two
        ((123,), 1.23, True),
    ],
)
def test_bold_is_at_or_below_the_paper_after_rounding_as_the_paper_does(make_record, errors, published, bold):
    spec = parse_spec(SPEC.replace("[1.2, 1.4]", f"[{published}, 1.4]"), "small")
    table = build_table(spec, [make_record(seed=i, errors=count) for i, count in enumerate(errors)])
    (line,) = (line for line in formats.markdown(table).splitlines() if line.startswith("| CNN"))
    assert ("**" in line) == bold


def test_a_zero_that_was_published_at_the_end_counts_as_a_decimal(make_record):
    spec = parse_spec(SPEC.replace("[1.2, 1.4]", "[0.90, 0.75]"), "small")
    lines = formats.markdown(build_table(spec, [make_record(errors=93)])).splitlines()
    assert "0.93 (1)" in lines[4]
    assert "**" not in lines[4]
    assert [cell.strip() for cell in lines[5].split("|")[-3:-1]] == ["0.90", "0.75"]


def test_a_table_without_published_numbers_does_not_speak_of_the_paper(make_record):
    text = re.sub(r", published: \[.*?\]|, transform_label: \S+(?=,)", "", SPEC)
    lines = formats.markdown(build_table(parse_spec(text, "small"), [make_record()])).splitlines()
    assert lines[0] == "Errors_100%; recipe fast"
    assert lines[2] == "| model   | R        | E   |"
    assert lines[4] == "| CNN     | 1.20 (1) | -   |"
    assert not any("paper" in line or "Bold" in line for line in lines)


def test_without_any_run_the_published_numbers_stand_alone(spec):
    text = formats.markdown(build_table(spec, []))
    assert "| paper | 1.2 | 1.4 |" in text
    assert "±" not in text
    assert "A cell marked - has no run, 4 of 4." in text


@pytest.mark.parametrize("write", ALL)
def test_a_table_that_is_left_with_no_row_can_be_written(spec, write):
    assert "CNN" not in write(with_runs(build_table(spec, [])))


@pytest.fixture
def compared(make_record):
    """Two cells of one seed each, whose predictions are not at hand, and two that are missing."""
    text = SPEC + "comparisons:\n  - {better: ST-CNN TPS, than: CNN}\n"
    runs = [make_record(errors=122), make_record("cnn_stn", "tps", errors=74)]
    return with_tests(build_table(parse_spec(text, "small"), runs))


def test_latex_keeps_the_tests_out_of_the_float_which_must_fit_a_page(compared):
    before, _, after = formats.latex(compared).partition(r"\end{table}")
    assert "comparisons" not in before
    assert "comparisons" in after


@pytest.mark.parametrize("write", [formats.markdown, formats.latex])
def test_tests_are_notes_below_the_table(compared, write):
    text = write(compared)
    assert "R, ST-CNN: TPS is 0.48 below CNN (not tested over images)." in text
    assert "1 of 2 comparisons have no seed that both rows were run with." in text
    assert "not tested over images" not in write(replace(compared, comparisons=None))


def test_csv_of_a_tested_table_is_one_line_per_comparison_and_column(compared):
    lines = list(csv.DictReader(formats.csv(compared).splitlines()))
    assert [(line["column"], line["better"], line["than"], line["difference_percent"]) for line in lines] == [
        ("R", "ST-CNN TPS", "CNN", "0.48"),
        ("E", "ST-CNN TPS", "CNN", ""),
    ]
    assert (lines[0]["seeds"], lines[0]["seeds_tested_over_images"], lines[0]["mcnemar_p"]) == ("1", "", "")


def test_json_has_the_comparisons_of_the_csv_where_they_were_asked_for(compared):
    content = json.loads(formats.json(compared))["comparisons"]
    lines = list(csv.DictReader(formats.csv(compared).splitlines()))
    assert [list(one) for one in content] == [list(line) for line in lines]
    assert content[0]["difference_percent"] == 0.48
    assert content[0]["seeds"] == [1]
    assert "comparisons" not in json.loads(formats.json(replace(compared, comparisons=None)))


def test_json_names_what_could_not_be_tested(compared):
    remark = "Not tested over images, no predictions.npz beside the record: CNN on R, seed 1."
    table = replace(compared, comparisons=replace(compared.comparisons, remarks=(remark,)))
    assert remark in json.loads(formats.json(table))["notes"]


def test_a_table_that_compares_nothing_can_be_tested(table):
    tested = with_tests(table)
    assert formats.markdown(tested) == formats.markdown(table)
    assert formats.csv(tested).strip() == ""
