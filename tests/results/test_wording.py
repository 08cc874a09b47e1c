"""What the tests found is said once, in words that follow from the numbers."""

import re
from dataclasses import replace

import pytest

from stn_bench.results.comparisons import Compared, Comparisons
from stn_bench.results.significance import McNemar
from stn_bench.results.spec import Column, Row
from stn_bench.results.wording import p_text, sentences

ROWS = {
    name: Row(*name.partition("/")[::2], {}, ()) for name in ("CNN/-", "FCN/-", "ST-CNN/Aff", "ST-CNN/TPS", "Best/")
}


def compared(better="ST-CNN/Aff", than="CNN/-", column="R", difference=0.0031, images=0.0001, seeds=0.02, **other):
    """A comparison with its corrected p-values."""
    return Compared(
        Column(column, {}),
        ROWS[better],
        ROWS[than],
        ROWS[other.get("bound")] if "bound" in other else None,
        seeds=other.get("of_seeds", (1, 2, 3)),
        tested=other.get("tested", other.get("of_seeds", (1, 2, 3))) if images is not None else (),
        difference=difference,
        over_images=None if images is None else McNemar(9.0, 40, images),
        over_images_holm=images,
        over_seeds=seeds,
        over_seeds_holm=seeds,
        gap_closed=other.get("gap"),
    )


def bullet(*found):
    """The words of comparisons in one column and family."""
    (text,) = (line for line in sentences(Comparisons(found)) if line.startswith("R, "))
    return text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "Aff beats CNN by 0.31 (p < 0.001, seeds p = 0.02)"),
        ({"difference": -0.0031}, "Aff is beaten by CNN by 0.31 (p < 0.001, seeds p = 0.02)"),
        ({"difference": 0.00175}, "Aff beats CNN by 0.18 (p < 0.001, seeds p = 0.02)"),  # halves go up
        ({"images": 0.61}, "Aff and CNN are not told apart (0.31 fewer, p = 0.61, seeds p = 0.02)"),
        ({"images": 0.05}, "Aff and CNN are not told apart (0.31 fewer, p = 0.05, seeds p = 0.02)"),
        ({"images": 1, "difference": -0.0002}, "Aff and CNN are not told apart (0.02 more, p = 1, seeds p = 0.02)"),
        ({"seeds": None}, "Aff beats CNN by 0.31 (p < 0.001)"),
        ({"images": None}, "Aff is 0.31 below CNN (not tested over images, seeds p = 0.02)"),
        ({"images": None, "seeds": None}, "Aff is 0.31 below CNN (not tested over images)"),
        (
            {"bound": "Best/", "gap": 0.634},
            "Aff beats CNN by 0.31, 63 % of the way to Best (p < 0.001, seeds p = 0.02)",
        ),
        (
            {"bound": "Best/", "gap": 0.634, "images": 0.61},
            "Aff and CNN are not told apart (0.31 fewer, p = 0.61, seeds p = 0.02)",
        ),
        (
            {"bound": "Best/", "gap": 0.634, "tested": (2, 3)},
            "Aff beats CNN by 0.31 (on seeds 2, 3 alone, p < 0.001, seeds p = 0.02)",
        ),
        ({"bound": "Best/"}, "Aff beats CNN by 0.31 (p < 0.001, seeds p = 0.02)"),
        ({"than": "ST-CNN/TPS"}, "Aff beats TPS by 0.31 (p < 0.001, seeds p = 0.02)"),
    ],
)
def test_the_verb_follows_from_the_test_over_images(change, words):
    assert bullet(compared(**change)) == f"R, ST-CNN: {words}."


def test_every_comparison_is_said_once_under_its_column_and_family():
    pairs = [("ST-CNN/Aff", "CNN/-"), ("ST-CNN/TPS", "CNN/-"), ("ST-CNN/TPS", "ST-CNN/Aff"), ("CNN/-", "FCN/-")]
    found = [compared(*pair, column=column) for column in ("R", "RTS") for pair in pairs]
    bullets = [line for line in sentences(Comparisons(tuple(found))) if " beats " in line]
    assert [line.partition(":")[0] for line in bullets] == ["R, ST-CNN", "R, CNN", "RTS, ST-CNN", "RTS, CNN"]
    for line in bullets[::2]:
        assert re.findall(r"(\w+) beats (\w+)", line) == [("Aff", "CNN"), ("TPS", "CNN"), ("TPS", "Aff")]
    for line in bullets[1::2]:
        assert re.findall(r"(\w+) beats (\w+)", line) == [("CNN", "FCN")]


def test_the_corrections_and_the_degrees_of_freedom_are_told_once():
    text = "\n".join(sentences(Comparisons((compared(), compared("ST-CNN/TPS"), compared("CNN/-", "FCN/-")))))
    assert text.count("Holm") == 1
    assert "corrected by Holm's method for their number in this table, 3 over images and 3 over seeds." in text
    assert "It decides the verb, at 0.05." in text
    assert "With 2 degrees of freedom it finds only what is large" in text


def test_one_seed_each_is_said_to_tell_nothing_of_other_seeds():
    lines = sentences(Comparisons((compared(seeds=None, of_seeds=(1,)),)))
    assert "No two rows have two seeds to compare: whether other seeds would say the same is not tested." in lines
    assert not any("degree" in line for line in lines)


def test_seeds_that_differ_by_the_same_amount_are_two_seeds_all_the_same():
    lines = sentences(Comparisons((compared(seeds=None, of_seeds=(1, 2)),)))
    assert not any("No two rows" in line for line in lines)
    assert any("all seeds differ by the same amount" in line for line in lines)


def test_a_seeds_p_that_is_missing_among_others_is_explained():
    found = (compared(of_seeds=(1, 2)), compared("ST-CNN/TPS", seeds=None))
    lines = sentences(Comparisons(found))
    assert any("With 1 degree of freedom" in line for line in lines)
    assert lines[3].startswith("Where no seeds p stands, there is one seed to compare")


def test_what_was_not_tested_is_told_after_what_was():
    missing = replace(compared(column="E"), difference=None, over_images=None, over_images_holm=None, over_seeds=None)
    lines = sentences(Comparisons((compared(), missing), ("A remark.",)))
    assert lines[-2:] == ["A remark.", "1 of 2 comparisons have no seed that both rows were run with."]
    assert not any(line.startswith("E, ") for line in lines)


def test_where_nothing_is_compared_nothing_is_said():
    assert sentences(Comparisons(())) == []


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0, "< 0.001"),
        (0.00099, "< 0.001"),
        (0.001, "= 0.001"),
        (0.0213, "= 0.021"),
        (0.0496, "= 0.0496"),
        (0.0499999, "= 0.0499999"),
        (0.05, "= 0.05"),
        (0.0504, "= 0.05"),
        (0.614, "= 0.61"),
        (0.999, "= 1"),
        (1, "= 1"),
    ],
)
def test_a_p_stays_on_its_side_of_the_level_when_it_is_rounded(p, text):
    assert p_text(p) == text
