"""The tests say what their sources say, and err as often as they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, chi2, ttest_rel

from stn_bench.results.significance import FEW, clustered_mcnemar, holm, paired_t

COUNTS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)
P_VALUES = st.lists(st.floats(0, 1), max_size=12)


def discordant(only_one, only_other, both=50, neither=1000):
    """Errors of one run each with so many images of each kind."""
    errors = [1] * only_one + [0] * only_other + [1] * both + [0] * neither
    others = [0] * only_one + [1] * only_other + [1] * both + [0] * neither
    return np.array(errors), np.array(others)


@pytest.mark.parametrize(("b", "c"), [(60, 40), (33, 17), (200, 150), (25, 0), (30, 30)])
def test_for_one_run_each_it_is_mcnemars_test(b, c):
    found = clustered_mcnemar(*discordant(b, c))
    assert found.statistic == pytest.approx((b - c) ** 2 / (b + c))
    assert found.differing == b + c
    assert found.p == pytest.approx(chi2.sf((b - c) ** 2 / (b + c), 1))


@pytest.mark.parametrize(("b", "c"), [(9, 2), (3, 12), (1, 0), (12, 12), (FEW - 1, 0)])
def test_for_one_run_each_and_few_images_that_differ_it_is_the_exact_binomial_test(b, c):
    assert clustered_mcnemar(*discordant(b, c)).p == pytest.approx(binomtest(b, b + c).pvalue)


def test_with_several_runs_and_few_images_that_differ_every_way_to_swap_is_counted():
    differences = np.array([3, 2, 2, -1, 1, -3, 1, 2])
    sums = [
        sum(d if way >> i & 1 else -d for i, d in enumerate(differences.tolist()))
        for way in range(2 ** len(differences))
    ]
    as_far = np.mean(np.abs(sums) >= abs(differences.sum()))
    assert clustered_mcnemar(differences + 3, np.full(8, 3)).p == pytest.approx(as_far)


@given(COUNTS)
def test_which_is_named_first_does_not_matter(pairs):
    one, other = zip(*pairs, strict=True)
    assert clustered_mcnemar(one, other) == pytest.approx(clustered_mcnemar(other, one))


@given(COUNTS, st.randoms())
def test_the_order_of_the_images_does_not_matter(pairs, random):
    shuffled = random.sample(pairs, len(pairs))
    assert clustered_mcnemar(*zip(*pairs, strict=True)) == clustered_mcnemar(*zip(*shuffled, strict=True))


@given(COUNTS, st.integers(2, 4))
def test_the_same_runs_again_are_no_new_evidence(pairs, times):
    one, other = (np.array(column) for column in zip(*pairs, strict=True))
    assert clustered_mcnemar(one, other) == pytest.approx(clustered_mcnemar(times * one, times * other))


@given(COUNTS, st.integers(0, 100))
def test_images_on_which_both_err_equally_often_say_nothing(pairs, more):
    one, other = (np.array([*column, *[2] * more]) for column in zip(*pairs, strict=True))
    assert clustered_mcnemar(one, other) == clustered_mcnemar(*zip(*pairs, strict=True))


def test_no_image_that_differs_is_no_sign_of_a_difference():
    assert clustered_mcnemar([0, 1, 3], [0, 1, 3]) == (0, 0, 1)


@pytest.mark.parametrize("others", [[0, 1], [[0, 1, 1]]])
def test_errors_that_are_not_paired_are_refused(others):
    with pytest.raises(ValueError, match="are not paired: give one number per image"):
        clustered_mcnemar([0, 1, 1], others)


def simulated(seeds, tables=1500, images=2000):
    """Pairs of networks that err equally often, but each on hard images of its own, which all its seeds share."""
    random = np.random.default_rng(seeds)
    for _ in range(tables):
        hard = np.where(random.random((2, images)) < 0.02, 0.7, 0.004)
        yield [random.binomial(seeds, chances) for chances in hard]


@pytest.mark.parametrize("seeds", [1, 3])
def test_between_equals_p_is_uniform(seeds):
    ps = np.array([clustered_mcnemar(one, other).p for one, other in simulated(seeds)])
    for level in (0.01, 0.05, 0.2, 0.5, 0.8):
        low, high = binom.interval(0.999, len(ps), level)
        assert low <= (ps <= level).sum() <= high + 0.02 * len(ps), level  # the chance that p jumps over a level


def test_seeds_counted_as_new_images_would_find_differences_between_equals():
    def as_images(one, other):  # McNemar's test over images x seeds
        ups, downs = np.maximum(one - other, 0).sum(), np.maximum(other - one, 0).sum()
        return chi2.sf((ups - downs) ** 2 / (ups + downs), 1)

    alarms = np.mean([as_images(one, other) < 0.05 for one, other in simulated(3, tables=400)])
    assert alarms > 0.15


def test_the_t_test_over_seeds_is_scipys():
    one, other = [0.0071, 0.0080, 0.0075], [0.0121, 0.0118, 0.0131]
    assert paired_t(one, other) == pytest.approx(ttest_rel(one, other).pvalue)
    assert paired_t(one, other) == pytest.approx(paired_t(other, one))


@pytest.mark.parametrize(
    ("one", "other"),
    [([0.01], [0.02]), ([], []), ([0.01, 0.02], [0.02, 0.03]), ([0.0122, 0.0131], [0.0088, 0.0097]), ([0.01] * 3,) * 2],
)
def test_one_seed_and_seeds_that_differ_alike_have_no_t_test(one, other):
    assert paired_t(one, other) is None


@given(P_VALUES)
def test_holm_never_lowers_a_p_keeps_their_order_and_ends_at_one(ps):
    corrected = holm(ps)
    assert all(raw <= new <= 1 for raw, new in zip(ps, corrected, strict=True))
    by_raw = [new for _, new in sorted(zip(ps, corrected, strict=True))]
    assert by_raw == sorted(by_raw)


@given(P_VALUES.filter(len))
def test_holm_multiplies_the_smallest_p_by_their_number(ps):
    assert min(holm(ps)) == min(1, len(ps) * min(ps))


def test_holms_correction_of_a_known_list():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
