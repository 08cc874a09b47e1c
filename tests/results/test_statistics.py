"""The statistics against published values and SciPy."""

import pytest
from scipy.stats import binomtest

from stn_bench.results.statistics import wilson_interval


@pytest.mark.parametrize(
    ("errors", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_interval_is_the_one_that_newcombe_1998_prints(errors, n, low, high):
    assert wilson_interval(errors, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
@pytest.mark.parametrize(("errors", "n"), [(0, 1), (1, 1), (0, 10_000), (1, 10_000), (73, 10_000), (10_000, 10_000)])
def test_wilson_interval_agrees_with_scipy(errors, n, confidence):
    scipy = binomtest(errors, n).proportion_ci(confidence_level=confidence, method="wilson")
    assert wilson_interval(errors, n, confidence) == pytest.approx((scipy.low, scipy.high), abs=1e-12)


@pytest.mark.parametrize(("errors", "n", "confidence"), [(-1, 10, 0.95), (11, 10, 0.95), (0, 0, 0.95), (1, 10, 95)])
def test_wilson_interval_refuses_what_is_not_a_proportion(errors, n, confidence):
    with pytest.raises(ValueError, match="0"):
        wilson_interval(errors, n, confidence)
