"""Pictures: frames where the transformer looks, digits where they belong."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from stn_bench.figures import contact_sheet, save, warp_figure
from stn_bench.geometry import pixel_grid
from stn_bench.transforms import Projective

INPUTS = torch.rand(3, 1, 20, 28, generator=torch.Generator().manual_seed(1))
OUTPUTS = torch.rand(3, 1, 10, 14, generator=torch.Generator().manual_seed(2))
POINTS = pixel_grid(10, 14).expand(3, -1, -1, -1)


def sides(axis):
    """The lines of a frame: corner to corner in pixels, and line widths."""
    corners = [line.get_xydata()[[0, -1]].tolist() for line in axis.lines]
    return corners, [line.get_linewidth() for line in axis.lines]


def test_inputs_stand_above_their_outputs():
    axes = warp_figure(INPUTS, POINTS, OUTPUTS).axes
    assert len(axes) == 6
    for axis, pixels in zip(axes, [*INPUTS, *OUTPUTS], strict=True):
        np.testing.assert_array_equal(axis.images[0].get_array(), pixels[0])
        assert axis.images[0].get_clim() == (0, 1)


def test_a_frame_goes_round_the_points_that_are_looked_at_in_pixels_of_the_input():
    points = POINTS * torch.tensor([0.5, 1.0]) + torch.tensor([0.5, 0.0])  # the right half
    corners, _ = sides(warp_figure(INPUTS, points, OUTPUTS).axes[0])
    left, right = 14 - 0.5 + 0.5, 28 - 0.5 - 0.5  # centres of the outermost of 14 columns, one pixel wide each
    top, bottom = -0.5 + 1, 20 - 0.5 - 1  # of 10 rows, two pixels high each
    np.testing.assert_allclose(
        corners,
        [
            [[left, top], [right, top]],
            [[right, top], [right, bottom]],
            [[right, bottom], [left, bottom]],
            [[left, bottom], [left, top]],
        ],
        atol=1e-4,
    )


def test_a_turned_frame_shows_by_its_thick_edge_where_the_outputs_top_is():
    (top, *_), widths = sides(warp_figure(INPUTS, -POINTS, OUTPUTS).axes[0])
    assert top[0][1] == pytest.approx(20 - 0.5 - 1, abs=1e-4)
    assert widths[0] > max(widths[1:])


def test_a_frame_that_leaves_the_image_does_not_zoom_the_picture_out():
    axis = warp_figure(INPUTS, 2 * POINTS, OUTPUTS).axes[0]
    assert (axis.get_xlim(), axis.get_ylim()) == ((-0.5, 27.5), (19.5, -0.5))
    assert not any(line.get_clip_on() for line in axis.lines)


def test_a_frame_far_outside_leaves_pictures_as_large_as_they_are_and_draws_nothing(tmp_path):
    lost = POINTS.clone()
    lost[0] *= 1000
    figures = [warp_figure(INPUTS, points, OUTPUTS) for points in (2.2 * POINTS, lost)]
    for figure in figures:
        save(figure, tmp_path / "figure.png")  # warnings are errors: the layout fits
    assert not np.isfinite(np.concatenate([line.get_xydata() for line in figures[1].axes[0].lines])).any()
    sizes = [figure.axes[0].get_position().width for figure in figures]
    assert sizes[1] > 0.9 * sizes[0]


def test_of_a_frame_through_a_horizon_only_what_is_near_the_image_is_drawn(tmp_path):
    theta = Projective().identity().repeat(3, 1)
    theta[0, 6] = 1.5
    figure = warp_figure(INPUTS, Projective()(theta, pixel_grid(10, 14)), OUTPUTS)
    save(figure, tmp_path / "figure.png")  # warnings are errors: the layout fits
    drawn = np.concatenate([line.get_xydata() for line in figure.axes[0].lines])
    near = drawn[np.isfinite(drawn).all(axis=1)]
    assert 0 < len(near) < len(drawn)
    assert (near >= [-18, -13]).all()
    assert (near <= [45, 32]).all()


def test_half_precision_is_drawn():
    figure = warp_figure(INPUTS[:1], POINTS[:1], OUTPUTS[:1].bfloat16())
    assert figure.axes[1].images[0].get_array().dtype == np.float32


def test_a_sheet_has_a_labelled_row_per_entry_and_no_empty_frames():
    figure = contact_sheet({"R": INPUTS, "RTS": INPUTS[:2]})
    assert [axis.get_ylabel() for axis in figure.axes] == ["R", "", "", "RTS", "", ""]
    assert [len(axis.images) for axis in figure.axes] == [1, 1, 1, 1, 1, 0]
    assert [axis.axison for axis in figure.axes] == [True] * 5 + [False]


@pytest.mark.parametrize("name", ["sheet.png", "sheet", "sheet.svg"])
def test_saving_makes_the_folder_and_a_png_of_that_name(tmp_path, name):
    save(contact_sheet({"R": INPUTS}), tmp_path / "new/folder" / name)
    with Image.open(tmp_path / "new/folder" / name) as picture:
        assert picture.format == "PNG"
        assert picture.width > picture.height > 100


def test_matplotlib_is_imported_with_the_first_picture():
    program = "import sys, stn_bench.cli.job; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
