import math

import pytest
import torch

from stn_bench.distortions import Rotation, RotationScaleTranslation


def image(*size):
    return torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("quarters", [-1, 1, 2])
def test_positive_angles_turn_counter_clockwise(quarters):
    turned = Rotation()(image(28, 28), torch.tensor([[quarters * math.pi / 2]]))
    torch.testing.assert_close(turned, image(28, 28).rot90(quarters, (-2, -1)), rtol=0, atol=1e-5)


def test_an_image_that_is_not_square_turns_in_pixels():
    turned = Rotation(input_size=(20, 28))(image(20, 28), torch.tensor([[math.pi / 2]]))
    middle = image(20, 28)[..., 4:-4]
    torch.testing.assert_close(turned[..., 4:-4], middle.rot90(1, (-2, -1)), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("right", "down"), [(0, 0), (7, -7), (-3, 5)])
def test_an_image_is_shifted_on_its_canvas_by_whole_pixels_as_drawn(right, down):
    placed = RotationScaleTranslation()(image(28, 28), torch.tensor([[0.0, 1.0, right, down]]))
    expected = torch.zeros(1, 1, 42, 42)
    expected[..., 7 + down : 35 + down, 7 + right : 35 + right] = image(28, 28)
    torch.testing.assert_close(placed, expected, rtol=0, atol=1e-5)


def test_an_image_turns_about_its_own_middle_wherever_it_is_placed():
    distortion = RotationScaleTranslation()
    placed = distortion(image(28, 28), torch.tensor([[math.pi / 2, 1.0, 7, -7]]))
    torch.testing.assert_close(placed[..., :28, 14:], image(28, 28).rot90(1, (-2, -1)), rtol=0, atol=1e-5)


def test_a_scale_above_one_enlarges():
    half, double = (
        RotationScaleTranslation(output_size=(84, 84), max_scale=3)(
            torch.ones(1, 1, 28, 28), torch.tensor([[0, scale, 0, 0]])
        )
        for scale in (0.5, 2.0)
    )
    assert half.sum().item() == pytest.approx(14**2, rel=1e-5)
    assert double.sum().item() == pytest.approx(56**2, rel=1e-5)


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        ((0.7, 1.6), r"^max_scale=1\.6 is too large: an image of .* up to scale 1\.50$"),
        ((1.2, 0.7), r"^min_scale=1\.2, max_scale=0\.7: "),
        ((0.0, 1.0), r"^min_scale=0\.0, "),
        ((-1.0, 1.0), r"^min_scale=-1\.0, "),
    ],
)
def test_scales_that_do_not_fit_are_refused(scales, message):
    with pytest.raises(ValueError, match=message):
        RotationScaleTranslation(min_scale=scales[0], max_scale=scales[1])


def test_the_largest_scale_that_fits_fills_the_canvas():
    drawn = RotationScaleTranslation(min_scale=1.5, max_scale=1.5).draw(100, torch.Generator().manual_seed(1))
    assert drawn[:, 1].eq(1.5).all()
    assert drawn[:, 2:].eq(0).all()


def test_the_shorter_side_of_the_canvas_limits_the_scale():
    with pytest.raises(ValueError, match=r"up to scale 1\.25"):
        RotationScaleTranslation(max_scale=1.3, input_size=(20, 28), output_size=(42, 35))
