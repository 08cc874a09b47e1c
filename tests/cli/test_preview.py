"""`stn-data preview`: the same digits under each distortion."""

import pytest
import torch
from PIL import Image

from stn_bench.cli import data, preview
from stn_bench.cli.build import ConfigError
from stn_bench.cli.choices import NameTaken
from stn_bench.cli.preview import distortion_sheet
from stn_bench.data.distorted import DistortedDigits
from stn_bench.distortions import Rotation


@pytest.fixture
def drawn(monkeypatch, few_files):
    """The rows of the sheet, by their label."""
    rows = {}
    monkeypatch.setattr(preview.figures, "contact_sheet", rows.update)
    monkeypatch.setattr(preview.figures, "save", lambda figure, path: None)
    return rows


def test_a_sheet_has_a_row_per_data_set_and_a_picture_per_digit(drawn):
    distortion_sheet("sheet.png", ["none", "rts"], 3, seed=1)
    assert {label: tuple(images.shape) for label, images in drawn.items()} == {
        "NONE": (3, 1, 28, 28),
        "RTS": (3, 1, 42, 42),
    }


def test_the_digits_are_the_first_of_the_first_epoch_in_every_row(drawn, few_files):
    distortion_sheet("sheet.png", ["none", "r"], 5, seed=7)
    rotation = Rotation(90)
    epoch = DistortedDigits(few_files, rotation).draw_epoch(seed=7, epoch=0)
    digits = torch.from_numpy(few_files.train_images)[epoch.order[:5], None] / 255
    torch.testing.assert_close(drawn["NONE"], digits)
    torch.testing.assert_close(drawn["R"], rotation(digits, epoch.parameters[epoch.order[:5]]))


def test_another_seed_draws_other_distortions(drawn):
    distortion_sheet("sheet.png", ["r"], 3, seed=1)
    first = drawn["R"]
    distortion_sheet("sheet.png", ["r"], 3, seed=2)
    assert not torch.equal(first, drawn["R"])


def test_a_data_set_that_does_not_exist_is_answered_with_the_nearest(drawn):
    with pytest.raises(ConfigError, match=r"no data set rst: did you mean rts\?; there are e, none, p, r, rts"):
        distortion_sheet("sheet.png", ["r", "rst"], 3, seed=1)
    assert not drawn


def test_words_set_keys_of_the_data_sets(drawn):
    distortion_sheet("sheet.png", ["r"], 3, 1, ["data.distortion.max_degrees=0"])
    upright = drawn["R"]
    distortion_sheet("sheet.png", ["none"], 3, 1)
    torch.testing.assert_close(upright, drawn["NONE"])


def test_data_sets_of_ones_own_are_drawn(drawn, tmp_path):
    (tmp_path / "data").mkdir()
    own = "defaults: [_mnist]\ndistortion: {_target_: stn_bench.distortions.Rotation, max_degrees: 0}\n"
    (tmp_path / "data/upright.yaml").write_text(own)
    distortion_sheet("sheet.png", ["upright", "none"], 3, 1, folder=str(tmp_path))
    torch.testing.assert_close(drawn["UPRIGHT"], drawn["NONE"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data.distortion.max_degree=9"], "no key data.distortion.max_degree: did you mean data.distortion.max_degre"),
        (["data=p"], "data sets are named by --sets"),
        (["seed=2"], "seed changes nothing in a picture of digits"),
        (["data.distortion.max_degrees=9,10"], "has several values, and a picture takes one"),
        (["max_degrees"], "'max_degrees' is not of the form key=value"),
        (["data.distortion.max_degrees=wide"], "data.distortion.max_degrees=wide does not fit"),
        (["data.distortion._target_=mine.Shear"], r"add trusted=\[mine\]"),
    ],
)
def test_words_that_cannot_be_followed_are_one_sentence(drawn, words, said):
    with pytest.raises(ConfigError, match=said):
        distortion_sheet("sheet.png", ["r"], 3, 1, words)
    assert not drawn


def test_a_folder_of_configs_that_does_not_exist_is_named(drawn, tmp_path):
    with pytest.raises(ConfigError, match=f"there is no folder {tmp_path / 'conf'} of configs"):
        distortion_sheet("sheet.png", ["r"], 3, 1, folder=str(tmp_path / "conf"))


def test_a_config_that_would_not_be_read_is_refused(drawn, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/r.yaml").write_text("defaults: [_mnist]\n")
    with pytest.raises(NameTaken, match=r"data/r.yaml would not be read"):
        distortion_sheet("sheet.png", ["r"], 3, 1, folder=str(tmp_path))
    assert not drawn


@pytest.mark.parametrize("count", [0, -1])
def test_a_sheet_without_digits_is_refused(drawn, count):
    with pytest.raises(ConfigError, match=f"a sheet of {count} digits shows nothing"):
        distortion_sheet("sheet.png", ["r"], count, seed=1)


def test_a_sheet_of_more_digits_than_there_are_is_refused(drawn, few_files):
    available = len(few_files.train_images)
    with pytest.raises(ConfigError, match=f"there are {available} training digits of r: 100,000 cannot be drawn"):
        distortion_sheet("sheet.png", ["r"], 100_000, seed=1)


def test_the_command_leaves_a_picture_and_prints_its_name(tmp_path, monkeypatch, capsys, few_files):
    monkeypatch.chdir(tmp_path)
    assert data.main(["preview", "--output", "new/sheet.png", "--sets", "none,p", "--count", "4"]) == 0
    assert capsys.readouterr().out == "new/sheet.png\n"
    with Image.open(tmp_path / "new/sheet.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > picture.height > 2 * 28
