import pytest
import torch

from stn_bench.geometry import affine, measure, pixel_grid, thin_plate

GRID = pixel_grid(20, 28, dtype=torch.float64)


def warped(*rows):
    return affine.apply(torch.tensor([rows], dtype=torch.float64), GRID)


IDENTITY = warped([1, 0, 0], [0, 1, 0])
ZOOM_BY_2 = warped([0.5, 0, 0], [0, 0.5, 0])
ZOOM_OUT_BY_2 = warped([2, 0, 0], [0, 2, 0])
MIRROR = warped([-1, 0, 0], [0, 1, 0])
HALF_TURN = warped([-1, 0, 0], [0, -1, 0])
SHEAR = warped([1, 0.5, 0], [0, 1, 0])
HALF_A_FRAME_TO_THE_RIGHT = warped([1, 0, 1], [0, 1, 0])
COLLAPSE = warped([1, 0, 0], [1, 0, 0])


@pytest.mark.parametrize(
    ("points", "area"),
    [(IDENTITY, 1), (ZOOM_BY_2, 1 / 4), (ZOOM_OUT_BY_2, 4), (MIRROR, -1), (HALF_TURN, 1), (SHEAR, 1), (COLLAPSE, 0)],
    ids=["identity", "zoom", "zoom out", "mirror", "half turn", "shear", "collapse"],
)
def test_the_area_of_an_affine_warp_is_its_determinant_everywhere(points, area):
    found = measure.area(points)
    assert found.shape == (1, 19, 27)
    torch.testing.assert_close(found, torch.full_like(found, area), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("points", "share"),
    [(IDENTITY, 0), (ZOOM_BY_2, 0), (ZOOM_OUT_BY_2, 3 / 4), (MIRROR, 0), (HALF_A_FRAME_TO_THE_RIGHT, 1 / 2)],
    ids=["identity", "zoom", "zoom out", "mirror", "shift"],
)
def test_outside_is_the_share_of_points_beyond_the_frame(points, share):
    assert measure.outside(points).tolist() == pytest.approx([share], abs=1e-6)


@pytest.mark.parametrize(
    ("points", "share"),
    [(IDENTITY, 0), (ZOOM_BY_2, 0), (HALF_TURN, 0), (MIRROR, 1), (COLLAPSE, 1)],
    ids=["identity", "zoom", "half turn", "mirror", "collapse"],
)
def test_folded_is_the_share_of_area_not_above_zero(points, share):
    assert measure.folded(points).tolist() == [share]


def test_a_spline_folds_where_control_points_cross():
    controls = thin_plate.control_grid(4, 4)
    crossed = controls.clone()
    crossed[[5, 6]] = controls[[6, 5]]  # the two in the upper middle change places
    folded = measure.folded((thin_plate.basis(GRID, controls) @ crossed)[None])
    assert 0.02 < float(folded) < 0.5


def test_each_image_of_a_batch_is_measured_by_itself():
    points = torch.cat([IDENTITY, MIRROR, ZOOM_OUT_BY_2])
    assert measure.folded(points).tolist() == [0, 1, 0]
    assert measure.outside(points).tolist() == pytest.approx([0, 0, 3 / 4])


def test_the_summary_is_over_the_batch():
    summary = measure.summary(torch.cat([IDENTITY, MIRROR, ZOOM_BY_2, ZOOM_OUT_BY_2, ZOOM_BY_2]))
    assert summary == pytest.approx({"outside": 0.15, "folded": 0.2, "median_area": 0.25})


@pytest.mark.parametrize("size", [(1, 5), (5, 1), (1, 1)], ids=str)
def test_an_output_one_pixel_high_or_wide_has_no_areas_to_sum_up(size):
    assert measure.summary(torch.zeros(2, *size, 2)) == {"outside": 0.0}
