"""What is drawn is what the paper defines: 60,000 draws, from a fixed seed, against the distributions in SciPy."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from stn_bench.data.sources import load_mnist
from stn_bench.distortions import Elastic, Projective, Rotation, RotationScaleTranslation

DRAWS = 60_000


def columns(distortion):
    drawn = distortion.draw(DRAWS, torch.Generator().manual_seed(2015)).double().numpy()
    return dict(zip(distortion.names, drawn.T, strict=True))


def assert_uniform(values, low, high):
    assert low <= values.min()
    assert values.max() <= high
    standard_error = (high - low) / math.sqrt(12 * DRAWS)
    assert values.mean() == pytest.approx((low + high) / 2, abs=4 * standard_error)
    assert values.std() == pytest.approx((high - low) / math.sqrt(12), rel=0.01)
    assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-4


def assert_normal(values, std):
    assert values.mean() == pytest.approx(0, abs=4.5 * std / math.sqrt(DRAWS))
    assert values.std() == pytest.approx(std, rel=0.015)
    assert stats.kstest(values, stats.norm(0, std).cdf).pvalue > 1e-4


def assert_independent(values):
    correlation = np.corrcoef(values) - np.eye(len(values))
    assert np.abs(correlation).max() < 5 / math.sqrt(DRAWS)


@pytest.mark.parametrize("max_degrees", [90, 30])
def test_r_turns_uniformly(max_degrees):
    limit = math.radians(max_degrees)
    drawn = columns(Rotation(max_degrees))
    assert_uniform(drawn["angle_radians"], -limit * (1 + 1e-6), limit * (1 + 1e-6))  # float32 rounds


def test_rts_turns_scales_and_places_uniformly():
    drawn = columns(RotationScaleTranslation())
    limit = math.radians(45) * (1 + 1e-6)
    assert_uniform(drawn["angle_radians"], -limit, limit)
    assert_uniform(drawn["scale"], 0.7 - 1e-6, 1.2 + 1e-6)
    room = (42 - 28 * drawn["scale"]) / 2  # pixels to either side of the scaled image
    across, down = drawn["shift_x_pixels"] / room, drawn["shift_y_pixels"] / room
    assert_uniform(across, -1 - 1e-6, 1 + 1e-6)
    assert_uniform(down, -1 - 1e-6, 1 + 1e-6)
    assert_independent([drawn["angle_radians"], drawn["scale"], across, down])


@pytest.mark.parametrize(("input_size", "output_size"), [((28, 28), (42, 42)), ((20, 28), (30, 60))])
def test_rts_keeps_the_scaled_image_inside_the_canvas(input_size, output_size):
    drawn = columns(RotationScaleTranslation(input_size=input_size, output_size=output_size))
    for axis, side, canvas in zip("yx", input_size, output_size, strict=True):
        half, shift = drawn["scale"] * side / 2, drawn[f"shift_{axis}_pixels"]
        assert (shift + half).max() <= canvas / 2 + 1e-5
        assert (shift - half).min() >= -canvas / 2 - 1e-5
        assert (shift + half).max() > canvas / 2 - 0.01 * canvas  # and makes use of all the room
        assert (shift - half).min() < -canvas / 2 + 0.01 * canvas


@pytest.mark.parametrize(
    ("distortion", "std"),
    [(Projective(), 3.5), (Projective(5.0), 5.0), (Elastic(), 1.5), (Elastic(2.5), 2.5)],
    ids=["P", "P 5 px", "E", "E 2.5 px"],
)
def test_p_and_e_scale_uniformly_and_move_normally(distortion, std):
    drawn = columns(distortion)
    assert_uniform(drawn["scale"], 0.75 - 1e-6, 1 + 1e-6)
    moves = [values for name, values in drawn.items() if name.endswith("_pixels")]
    assert len(moves) == len(drawn) - 1
    for values in moves:
        assert_normal(values, std)
    assert_independent([drawn["scale"], *moves])


def test_p_moves_four_corners_and_e_sixteen_points():
    assert len(Projective().names) == 1 + 2 * 4
    assert len(Elastic().names) == 1 + 2 * 16
    assert Projective().names[1:4] == ("corner0_x_pixels", "corner0_y_pixels", "corner1_x_pixels")
    assert Elastic().names[-1] == "control15_y_pixels"


@pytest.mark.parametrize("distortion", [Rotation(), RotationScaleTranslation()], ids=["R", "RTS"])
def test_real_digits_lose_at_most_a_thousandth_of_their_ink(distortion):
    digits = torch.from_numpy(load_mnist().test_images[:5000])[:, None].float() / 255
    parameters = distortion.draw(len(digits), torch.Generator().manual_seed(2015))
    scale = parameters[:, distortion.names.index("scale")] if "scale" in distortion.names else torch.ones(len(digits))
    # each pixel of ink covers scale^2 pixels of the canvas
    kept = distortion(digits, parameters).sum(dim=(1, 2, 3)) / (scale**2 * digits.sum(dim=(1, 2, 3)))
    assert float(kept.mean()) == pytest.approx(1, abs=1e-3)
    assert float(kept.min()) > 0.9
