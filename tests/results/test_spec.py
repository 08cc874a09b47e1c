"""A table's YAML says what it means, or is refused with the place."""

import pytest
import yaml

from stn_bench.results.spec import Comparison, SpecError, parse_spec


@pytest.fixture
def content():
    return {
        "title": "Errors",
        "source": "a paper",
        "columns": [{"label": "R", "match": {"data": "r"}}, {"label": "E", "match": {"data": "e"}}],
        "rows": [{"label": "CNN", "match": {"model": "cnn", "transform": None}, "published": [1.2, None]}],
    }


def test_published_percent_become_fractions(content):
    spec = parse_spec(yaml.safe_dump(content), "small")
    assert spec.name == "small"
    assert spec.rows[0].published == (0.012, None)


def test_a_row_without_published_numbers_has_none_in_every_column(content):
    del content["rows"][0]["published"]
    assert parse_spec(yaml.safe_dump(content), "small").rows[0].published == (None, None)


def test_a_row_that_spans_the_columns_says_itself_what_its_runs_chose(content):
    match = {"model": "cnn", "transform": None, "data": "none"}
    content["rows"].append({"label": "Floor", "match": match, "spans": True, "sweep": "bounds"})
    spec = parse_spec(yaml.safe_dump(content), "small")
    plain, floor = spec.rows
    assert [plain.match_in(column)["data"] for column in spec.columns] == ["r", "e"]
    assert [floor.match_in(column) for column in spec.columns] == [match, match]
    assert (plain.sweep, floor.sweep) == (None, "bounds")


@pytest.mark.parametrize(
    ("label", "transform_label", "name"), [("ST-CNN", "TPS", "ST-CNN TPS"), ("CNN", "-", "CNN"), ("CNN", "", "CNN")]
)
def test_a_row_is_called_by_its_labels_without_the_dash(content, label, transform_label, name):
    content["rows"][0] |= {"label": label, "transform_label": transform_label}
    assert parse_spec(yaml.safe_dump(content), "small").rows[0].name == name


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ([], {"titel": "Errors"}, "table small: unknown key titel; there are title, source"),
        ([], {"title": 1}, "table small: expected text, found 1"),
        ([], {"rows": "CNN"}, "table small, rows: expected a list"),
        ([], {"columns": ["R"]}, "table small, column 1 is 'R': write a mapping"),
        (["rows", 0], {"publised": [1.2]}, "row 1: unknown key publised"),
        (["rows", 0], {"published": [1.2]}, "row 1: 1 published numbers for 2 columns"),
        (["rows", 0], {"published": [1.2, "1.4"]}, "row 1: published '1.4' is not a number"),
        (["rows", 0], {"published": [1.2, float("nan")]}, "row 1: published nan is not a number"),
        (["rows", 0], {"match": {"model": "cnn"}}, "row 1 and column R do not say which transform"),
        (["rows", 0, "match"], {"modle": "cnn"}, "row 1, match: unknown key modle; there are model, transform"),
        (["rows", 0, "match"], {"data": "r"}, "row 1 and column R both match on data"),
        (["rows", 0], {"spans": True}, "row 1 and column R do not say which data"),
        (["rows", 0], {"spans": "yes"}, "row 1, spans: expected true or false, found 'yes'"),
        (["rows", 0], {"sweep": 3}, "row 1: expected text, found 3"),
        (["columns", 1], {"label": "R"}, "column 2 has the label 'R' of an earlier one"),
        (["columns", 1, "match"], {"data": 2}, "column 2, match: expected text, found 2"),
    ],
)
def test_a_mistake_is_refused_with_its_place(content, part, change, message):
    target = content
    for step in part:
        target = target[step]
    target.update(change)
    with pytest.raises(SpecError) as refusal:
        parse_spec(yaml.safe_dump(content), "small")
    assert message in str(refusal.value)


@pytest.mark.parametrize("key", ["title", "source", "columns", "rows"])
def test_a_missing_key_is_named(content, key):
    del content[key]
    with pytest.raises(SpecError, match=f"table small lacks {key}"):
        parse_spec(yaml.safe_dump(content), "small")


@pytest.mark.parametrize("text", ["title: [", "", "- 1"])
def test_what_is_no_mapping_in_yaml_is_refused_by_the_name_of_the_table(text):
    with pytest.raises(SpecError, match="table small is"):
        parse_spec(text, "small")


@pytest.fixture
def compared(content):
    """Three rows and a comparison of two of them."""
    content["rows"] = [{**content["rows"][0], "label": label} for label in ("CNN", "ST-CNN", "Best")]
    content["comparisons"] = [{"better": "ST-CNN", "than": "CNN"}]
    return content


def test_a_comparison_names_rows(compared):
    compared["comparisons"].append({"better": "CNN", "than": "Best", "bound": "ST-CNN"})
    spec = parse_spec(yaml.safe_dump(compared), "small")
    assert spec.comparisons == (Comparison("ST-CNN", "CNN"), Comparison("CNN", "Best", "ST-CNN"))


def test_a_table_may_compare_nothing(content):
    assert parse_spec(yaml.safe_dump(content), "small").comparisons == ()


@pytest.mark.parametrize(
    ("comparisons", "message"),
    [
        ({"better": "ST-CNN"}, "table small, comparisons: expected a list, found {"),
        (["ST-CNN"], "table small, comparison 1 is 'ST-CNN': write a mapping with the keys better, than, bound"),
        ([{"better": "ST-CNN"}], "table small, comparison 1 lacks than: add it"),
        ([{"better": "CNN", "then": "ST-CNN"}], "comparison 1: unknown key then; there are better, than, bound"),
        ([{"better": 7, "than": "CNN"}], "comparison 1, better: expected text, found 7"),
        ([{"better": "ST-CNN", "than": "CN"}], "1, than: no row is called 'CN': name one of CNN, ST-CNN, Best"),
        ([{"better": "ST-CNN", "than": "CNN", "bound": "Bst"}], "comparison 1, bound: no row is called 'Bst'"),
        ([{"better": "CNN", "than": "CNN"}], "comparison 1 names a row twice, CNN, CNN: name different ones"),
        ([{"better": "CNN", "than": "Best", "bound": "CNN"}], "comparison 1 names a row twice, "),
        (
            [{"better": "CNN", "than": "ST-CNN"}, {"better": "ST-CNN", "than": "CNN"}],
            "comparison 2 repeats an earlier one, ST-CNN and CNN: delete it",
        ),
    ],
)
def test_a_mistake_in_a_comparison_is_refused_with_its_place(compared, comparisons, message):
    compared["comparisons"] = comparisons
    with pytest.raises(SpecError) as refusal:
        parse_spec(yaml.safe_dump(compared), "small")
    assert message in str(refusal.value)


def test_a_row_that_is_compared_has_a_name_of_its_own(compared):
    compared["rows"][2]["label"] = "CNN"
    with pytest.raises(SpecError, match="comparison 1, than: 2 rows are called 'CNN'"):
        parse_spec(yaml.safe_dump(compared), "small")
