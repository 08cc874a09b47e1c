"""The pages say what the records say."""

import json
import re

import costs
import fill_readme
import pytest

PAGES = {name: (fill_readme.ROOT / name).read_text(encoding="utf-8") for name in fill_readme.PAGES}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_records_say(name):
    assert fill_readme.filled(PAGES[name]) == PAGES[name], f"a table of {name} is stale: python scripts/fill_readme.py"


@pytest.mark.parametrize("name", PAGES)
def test_every_table_of_a_page_is_found(name):
    assert len(re.findall("<!-- end -->", PAGES[name])) == len(fill_readme.BLOCK.findall(PAGES[name])) > 0


def test_every_view_is_on_a_page():
    views = {found["view"] for page in PAGES.values() for found in fill_readme.BLOCK.finditer(page)}
    assert views == set(fill_readme.VIEWS)


def test_a_table_is_made_anew_and_the_rest_is_left(tmp_path):
    (tmp_path / "page.md").write_text("two\n\nlines\n")
    page = "before\n<!-- text of page.md -->\nstale\n<!-- end -->\nafter\n<!-- end -->\n"
    filled = fill_readme.filled(page, tmp_path)
    assert filled == "before\n<!-- text of page.md -->\n\ntwo\n\nlines\n\n<!-- end -->\nafter\n<!-- end -->\n"
    assert fill_readme.filled(filled, tmp_path) == filled


def test_the_figures_of_a_record_are_told(tmp_path):
    cells = {"fcn": {"r": 1.04, "rts": 2.06, "p": 3, "e": 4}}
    record = {"seconds_per_epoch": {"cells": cells, "batch size": {"64": 5.51}, "canvas": {"84": 61.2}}}
    (tmp_path / "costs.json").write_text(json.dumps(record))
    told = fill_readme.filled("<!-- cost of costs.json -->\n<!-- end -->", tmp_path)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in told.splitlines() if "|" in line]
    assert ["fcn", "1.0", "2.1", "3.0", "4.0"] in rows
    assert [costs.GROWTH["batch size"], "64"] in rows
    assert ["seconds per epoch", "5.5"] in rows
    assert ["seconds per epoch", "61.2"] in rows


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("table of nowhere", "there is no nowhere"),
        ("tabel of page.md", "no view is called tabel: use table, text, speed, cost"),
    ],
)
def test_what_cannot_be_filled_is_named(tmp_path, head, words):
    (tmp_path / "page.md").write_text("")
    with pytest.raises(SystemExit, match=words):
        fill_readme.filled(f"<!-- {head} -->\n<!-- end -->", tmp_path)
