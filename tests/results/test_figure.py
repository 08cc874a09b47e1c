"""The figure holds what the table holds, and the same runs give the same file."""

import numpy as np
import pytest

from stn_bench.results.figure import FigureError, draw, fingerprint, save_figure
from stn_bench.results.spec import parse_spec
from stn_bench.results.statistics import wilson_interval
from stn_bench.results.table import build_table, with_runs

SPEC = """
title: Errors
source: a paper
columns:
  - {label: R, match: {data: r}}
  - {label: E, match: {data: e}}
rows:
  - {label: CNN, transform_label: "-", match: {model: cnn, transform: null}, published: [1.2, null]}
  - {label: ST-CNN, transform_label: TPS, match: {model: cnn_stn, transform: tps}, published: [0.7, 1.0]}
"""


@pytest.fixture
def table(make_record):
    """CNN on R with three seeds, ST-CNN on E with one; nothing else was run."""
    runs = [make_record(seed=seed, errors=errors) for seed, errors in ((1, 122), (2, 131), (3, 125))]
    return build_table(parse_spec(SPEC, "small"), [*runs, make_record("cnn_stn", "tps", "e", errors=310)])


def marks(figure):
    """The x values of each named mark, by name."""
    return {
        line.get_gid(): np.atleast_1d(line.get_xdata()) for axes in figure.axes for line in axes.lines if line.get_gid()
    }


def test_every_cell_is_in_its_panel_and_missing_ones_are_blank(table):
    found = marks(draw(table))
    assert {name for name in found if name.startswith("ours/")} == {"ours/R/CNN", "ours/E/ST-CNN TPS"}
    assert {name for name in found if name.startswith("paper/")} == {
        "paper/R/CNN",
        "paper/R/ST-CNN TPS",
        "paper/E/ST-CNN TPS",
    }
    assert found["ours/R/CNN"] == pytest.approx([1.26])
    assert found["paper/R/CNN"] == pytest.approx([1.2, 1.2])
    # of as many images as a run has, however many runs there are
    assert found["interval/R/CNN"] == pytest.approx([100 * end for end in wilson_interval(126, 10_000)])


def test_seeds_are_shown_where_there_are_several(table):
    found = marks(draw(table))
    assert found["seeds/R/CNN"] == pytest.approx([1.22, 1.31, 1.25])
    assert "seeds/E/ST-CNN TPS" not in found


def test_rows_are_in_the_order_of_the_table_from_above(table):
    axes = draw(table).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["CNN", "ST-CNN TPS"]
    assert axes.yaxis_inverted()


def test_every_mark_is_within_the_scale_which_all_panels_share(table):
    figure = draw(table)
    low, high = figure.axes[0].get_xlim()
    assert {axes.get_xlim() for axes in figure.axes} == {(low, high)}
    for axes in figure.axes:
        drawn = [x for line in axes.lines if line.get_color() != "#d0d0d0" for x in np.atleast_1d(line.get_xdata())]
        assert low < min(drawn)
        assert max(drawn) < high


def test_the_legend_explains_what_is_there_and_no_more(table, make_record):
    def legend(table):
        return [text.get_text() for text in draw(table).legends[0].get_texts()]

    interval = "95 % interval for the choice of 10,000 test images"
    assert legend(table) == ["ours, mean over seeds", "each seed", interval, "paper"]
    assert legend(build_table(table.spec, [make_record()])) == ["ours", interval, "paper"]
    assert legend(build_table(table.spec, [])) == ["paper"]


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_the_same_runs_give_the_same_bytes(table, tmp_path, kind):
    for name in ("one", "other"):
        save_figure(table, tmp_path / f"{name}.{kind}")
    content = (tmp_path / f"one.{kind}").read_bytes()
    assert content == (tmp_path / f"other.{kind}").read_bytes()
    assert len(content) > 5000
    assert fingerprint(table).encode() in content
    assert b"CreationDate" not in content
    assert b"dc:date" not in content


def test_a_figure_of_other_runs_has_another_fingerprint(table, make_record):
    runs = [[make_record(seed=1, errors=120 - by), make_record(seed=2, errors=120 + by)] for by in (0, 1, 2)]
    assert len({fingerprint(build_table(table.spec, pair)) for pair in runs}) == 3


@pytest.mark.parametrize("name", ["figure.gif", "figure", "svg"])
def test_another_kind_of_file_is_refused(table, tmp_path, name):
    with pytest.raises(FigureError, match=r"end its name in \.png, \.svg, \.pdf"):
        save_figure(table, tmp_path / name)


@pytest.mark.parametrize(("errors", "percent"), [(0, 0), (10_000, 100)])
def test_a_network_that_is_always_right_or_wrong_can_be_drawn(table, make_record, tmp_path, errors, percent):
    extreme = build_table(table.spec, [make_record(errors=errors)])
    assert marks(draw(extreme))["ours/R/CNN"] == pytest.approx([percent])
    save_figure(extreme, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_a_table_that_is_left_with_no_row_can_be_drawn(table, tmp_path):
    empty = with_runs(build_table(table.spec, []))
    assert not marks(draw(empty))
    save_figure(empty, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
