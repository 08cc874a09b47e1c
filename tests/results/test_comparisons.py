"""Comparisons are tested on the runs that can be paired, and every other one is told."""

import numpy as np
import pytest

from stn_bench.results.comparison_rows import flat
from stn_bench.results.comparisons import with_tests
from stn_bench.results.significance import clustered_mcnemar, holm, paired_t
from stn_bench.results.spec import parse_spec
from stn_bench.results.table import build_table, with_runs
from stn_bench.results.wording import sentences

SPEC = """
title: Errors
source: a paper
columns:
  - {label: R, match: {data: r}}
  - {label: E, match: {data: e}}
rows:
  - {label: CNN, match: {model: cnn, transform: null}}
  - {label: ST-CNN, transform_label: Aff, match: {model: cnn_stn, transform: affine}}
  - {label: ST-CNN, transform_label: TPS, match: {model: cnn_stn, transform: tps}}
  - {label: Best, match: {model: cnn, transform: similarity}}
comparisons:
  - {better: ST-CNN Aff, than: CNN, bound: Best}
  - {better: ST-CNN TPS, than: CNN}
  - {better: ST-CNN TPS, than: ST-CNN Aff}
"""
ROWS = {"CNN": ("cnn", None), "Aff": ("cnn_stn", "affine"), "TPS": ("cnn_stn", "tps"), "Best": ("cnn", "similarity")}


@pytest.fixture
def spec():
    return parse_spec(SPEC, "small")


@pytest.fixture
def random():
    return np.random.default_rng(1)


def comparisons_of(spec, runs):
    return with_tests(build_table(spec, runs)).comparisons


@pytest.fixture
def runs(leave_run, random):
    """Two or three seeds of each row on R, of 400 images, and two rows on E."""
    error = {"CNN": 0.3, "Aff": 0.12, "TPS": 0.1, "Best": 0.05}
    cells = [(row, "r", seed) for row in ROWS for seed in (1, 2, 3) if (row, seed) != ("TPS", 1)]
    cells += [(row, "e", 4) for row in ("CNN", "TPS")]
    return {(row, d, s): leave_run(random.random(400) < error[row], *ROWS[row], d, s) for row, d, s in cells}


def wrong(run):
    arrays = np.load(run.folder / "predictions.npz")
    return (arrays["predictions"] != arrays["labels"]).astype(int)


def test_each_comparison_is_tested_once_in_each_column(spec, runs):
    found = comparisons_of(spec, list(runs.values())).compared
    assert [(one.column.label, one.better.name, one.than.name) for one in found] == [
        (column, comparison.better, comparison.than) for column in "RE" for comparison in spec.comparisons
    ]


def test_the_seeds_that_both_rows_have_are_paired(spec, runs):
    one = comparisons_of(spec, list(runs.values())).compared[1]
    cnn, tps = ([runs[row, "r", seed] for seed in (2, 3)] for row in ("CNN", "TPS"))
    assert one.seeds == one.tested == (2, 3)
    assert one.difference == pytest.approx(sum(a.error - b.error for a, b in zip(cnn, tps, strict=True)) / 2)
    assert one.over_images == clustered_mcnemar(sum(map(wrong, tps)), sum(map(wrong, cnn)))
    assert one.over_seeds == pytest.approx(paired_t([run.error for run in tps], [run.error for run in cnn]))


def test_each_kind_of_test_is_corrected_over_the_whole_table(spec, runs):
    found = comparisons_of(spec, list(runs.values())).compared
    images = [one for one in found if one.over_images]
    seeds = [one for one in found if one.over_seeds is not None]
    assert (len(images), len(seeds)) == (4, 3)
    assert [one.over_images_holm for one in images] == holm([one.over_images.p for one in images])
    assert [one.over_seeds_holm for one in seeds] == holm([one.over_seeds for one in seeds])


def test_cells_without_a_common_seed_are_not_compared(spec, runs):
    one, other = comparisons_of(spec, [runs["CNN", "r", 1], runs["TPS", "r", 2]]).compared[1:3]
    assert (one.seeds, one.difference, one.over_images, one.over_seeds) == ((), None, None, None)
    assert other.seeds == ()


def test_the_gap_closed_is_a_share_of_that_between_baseline_and_bound(spec, runs):
    one, other = comparisons_of(spec, list(runs.values())).compared[:2]
    mean = {row: np.mean([runs[row, "r", seed].error for seed in (1, 2, 3)]) for row in ("CNN", "Aff", "Best")}
    assert one.gap_closed == pytest.approx((mean["CNN"] - mean["Aff"]) / (mean["CNN"] - mean["Best"]))
    assert 0.5 < one.gap_closed < 1
    assert other.gap_closed is None


@pytest.mark.parametrize("best", [None, 200, 107], ids=["none", "above", "below by rounding alone"])
def test_without_a_bound_below_the_baseline_there_is_no_gap(spec, make_record, best):
    errors = {"CNN": (105, 107, 109), "Aff": (60, 61, 62), "Best": () if best is None else (best,)}
    runs = [make_record(*ROWS[row], seed=i, errors=count) for row in errors for i, count in enumerate(errors[row])]
    one = comparisons_of(spec, runs).compared[0]
    assert one.difference > 0
    assert one.gap_closed is None


def test_a_run_whose_predictions_cannot_be_used_counts_over_seeds_and_is_named_once(spec, runs):
    (runs["CNN", "r", 2].folder / "predictions.npz").unlink()
    found = comparisons_of(spec, list(runs.values()))
    aff, tps = found.compared[:2]
    assert (aff.seeds, aff.tested) == ((1, 2, 3), (1, 3))
    assert (tps.seeds, tps.tested) == ((2, 3), (3,))
    assert aff.over_images == clustered_mcnemar(
        *(sum(wrong(runs[row, "r", seed]) for seed in (1, 3)) for row in ("Aff", "CNN"))
    )
    assert found.remarks == ("Not tested over images, no predictions.npz beside the record: CNN on R, seed 2.",)


def test_the_verb_and_the_difference_beside_p_are_of_the_seeds_of_which_p_is(spec, leave_run, random):
    """CNN errs more often over both seeds, and less often over the one of which there are predictions."""
    errs = {("CNN", 1): 0.1, ("Aff", 1): 0.2, ("CNN", 2): 0.5, ("Aff", 2): 0.1}
    runs = {key: leave_run(random.random(1000) < error, *ROWS[key[0]], "r", key[1]) for key, error in errs.items()}
    (runs["CNN", 2].folder / "predictions.npz").unlink()
    (one, *_) = (found := comparisons_of(spec, list(runs.values()))).compared
    assert one.tested == (1,)
    assert one.difference > 0 > one.tested_difference == runs["CNN", 1].error - runs["Aff", 1].error
    assert any("Aff is beaten by CNN by" in line for line in sentences(found))
    (line, *_) = flat(found)
    assert line["difference_percent"] == pytest.approx(100 * one.difference)
    assert line["tested_difference_percent"] == pytest.approx(100 * one.tested_difference)


def test_many_such_runs_are_one_remark(spec, make_record):
    rows = [ROWS[row] for row in ("CNN", "Aff", "TPS")]
    records = [make_record(*row, seed=seed) for row in rows for seed in (1, 2, 3)]
    assert comparisons_of(spec, records).remarks == (
        "Not tested over images, the record was not read from a folder: ST-CNN Aff on R, seed 1; CNN on R, seed 1; "
        "ST-CNN Aff on R, seed 2 and 6 more.",
    )


@pytest.mark.parametrize(
    "other",
    [{"data_sha256": "another"}, {"config": {"data": {"distortion": {"max_degrees": 45}}}}],
    ids=["digits", "distortions"],
)
def test_runs_on_other_images_are_not_paired(spec, leave_run, random, other):
    pair = [leave_run(random.random(50) < 0.3, *ROWS["CNN"], **other), leave_run(random.random(50) < 0.3, *ROWS["Aff"])]
    found = comparisons_of(spec, pair)
    assert found.compared[0].difference is not None
    assert found.compared[0].over_images is None
    assert "Not tested over images, not evaluated on the same images: ST-CNN Aff and CNN on R." in found.remarks


@pytest.mark.parametrize("other", [{"data_sha256": "1" * 64}, {"config": {"data": {"distortion": {"degrees": 45}}}}])
def test_seeds_on_different_images_are_not_tested_together(spec, leave_run, random, other):
    seeds = [(1, {}), (2, other)]
    runs = [leave_run(random.random(200) < 0.2, *ROWS[row], seed=s, **o) for row in ("CNN", "Aff") for s, o in seeds]
    found = comparisons_of(spec, runs)
    assert found.compared[0].over_images is None
    assert "Not tested over images, not evaluated on the same images: ST-CNN Aff and CNN on R." in found.remarks


def test_seeds_on_more_or_fewer_images_are_not_tested_together(spec, leave_run, random):
    runs = [leave_run(random.random(100 * s) < 0.2, *ROWS[row], seed=s) for row in ("CNN", "Aff") for s in (1, 2)]
    assert comparisons_of(spec, runs).compared[0].over_images is None


def test_rows_that_are_not_shown_are_not_compared(spec, runs):
    shown = with_runs(build_table(spec, [runs["CNN", "r", 1], runs["Aff", "r", 1]]))
    (one,) = with_tests(shown).comparisons.compared
    assert (one.column.label, one.better.name) == ("R", "ST-CNN Aff")


def test_the_order_of_the_records_does_not_matter(spec, runs):
    records = list(runs.values())
    assert comparisons_of(spec, records) == comparisons_of(spec, records[::-1])
