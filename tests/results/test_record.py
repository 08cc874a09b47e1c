"""What a run leaves behind can be read again, whole or not at all."""

import json
import os

import pytest

from stn_bench.results.record import RecordError, find_records, read_record, write_record


@pytest.fixture
def written(tmp_path, make_record):
    return write_record(tmp_path, make_record())


def rewrite(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(("model", "transform", "tag"), [("cnn", None, None), ("fcn_stn", "tps", "lr_0.1")])
def test_what_is_written_is_what_is_read(tmp_path, make_record, model, transform, tag):
    record = make_record(model, transform, tag=tag, git_commit="4f2a", device="H100, 80 GiB, größer")
    path = write_record(tmp_path, record)
    assert path == tmp_path / "result.json"
    assert read_record(path) == record
    assert read_record(path).folder == tmp_path


def test_the_same_record_is_the_same_bytes(tmp_path, make_record):
    first = write_record(tmp_path, make_record()).read_bytes()
    assert write_record(tmp_path, make_record()).read_bytes() == first


def test_a_write_that_fails_leaves_the_old_record_and_no_other_file(tmp_path, make_record, written, monkeypatch):
    before = written.read_bytes()

    def no_space(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        write_record(tmp_path, make_record(errors=99))
    assert written.read_bytes() == before
    assert os.listdir(tmp_path) == ["result.json"]


def test_a_record_is_on_the_disk_before_it_takes_its_name(tmp_path, make_record, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (events.append("fsync"), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda old, new: (events.append("replace"), replace(old, new)))
    write_record(tmp_path, make_record())
    assert events == ["fsync", "replace", "fsync"]  # the last: of its folder


def test_others_may_read_a_record_as_they_may_any_file(tmp_path, written):
    plain = tmp_path / "plain"
    plain.touch()
    assert written.stat().st_mode == plain.stat().st_mode


def test_a_number_that_is_not_finite_is_written_as_null(tmp_path, make_record):
    record = make_record("cnn_stn", "tps", warp={"fold": float("nan"), "zoom": 0.9}, config={"clip": [float("inf")]})
    read = read_record(write_record(tmp_path, record))
    assert read.warp == {"fold": None, "zoom": 0.9}
    assert read.config == {"clip": [None]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"errors": 12_000},
        {"errors": 120, "error": 1.2},
        {"errors": 0, "images": 0, "error": 0.0},
        {"wilson_95": (0.0101, 0.0143)},
    ],
)
def test_counts_that_contradict_the_error_rate_or_its_interval_are_refused(make_record, wrong):
    correct = make_record()
    with pytest.raises(RecordError, match="errors"):
        type(correct)(**{name: getattr(correct, name) for name in correct.__dataclass_fields__} | wrong)


def test_json_that_is_nested_beyond_reading_is_refused_by_name(written):
    written.write_text("[" * 100_000)
    with pytest.raises(RecordError, match=r"result\.json is not whole JSON"):
        read_record(written)


def test_a_field_of_the_wrong_type_is_refused_before_it_is_written(tmp_path, make_record):
    with pytest.raises(RecordError, match="seed = '3'"):
        write_record(tmp_path, make_record(seed="3"))
    assert os.listdir(tmp_path) == []


def test_a_truncated_file_is_refused_by_name(written):
    written.write_text(written.read_text()[:100])
    with pytest.raises(RecordError, match=r"result\.json is not whole JSON .* run again"):
        read_record(written)


@pytest.mark.parametrize("text", ["[1, 2]", "{}", '{"accuracy": 0.9}'])
def test_a_file_of_something_else_is_refused_by_name(written, text):
    written.write_text(text)
    with pytest.raises(RecordError, match=r"result\.json is not a run record"):
        read_record(written)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 2}, "has schema 2 and this stn_bench reads schema 1"),
        ({"accuracy": 0.9}, "has the unknown accuracy"),
        ({"seed": True}, "has seed = True"),
        ({"seed": 1.5}, "has seed = 1.5"),
        ({"error": 10**400}, "has error = 1000"),
        ({"seconds": "1"}, "has seconds = '1'"),
        ({"git_commit": 7}, "has git_commit = 7"),
        ({"evaluated_on": "train"}, "has evaluated_on = 'train'"),
        ({"wilson_95": [0.1]}, "has wilson_95 = "),
        ({"warp": {"zoom": "big"}}, "has warp = "),
        ({"choices": {"data": "r"}}, "has choices = "),
        ({"errors": 7}, "error 0.012 is not 7 errors"),
        ({"wilson_95": [0, 1]}, "wilson_95 (0, 1) is not that of 120 errors among 10000 images"),
    ],
)
def test_a_wrong_field_is_refused_with_the_file_and_the_field(written, changes, message):
    rewrite(written, **changes)
    with pytest.raises(RecordError) as refusal:
        read_record(written)
    assert str(written) in str(refusal.value)
    assert message in str(refusal.value)


@pytest.mark.parametrize("name", ["choices", "seed", "warp"])
def test_a_missing_field_is_named(written, name):
    content = json.loads(written.read_text())
    del content[name]
    written.write_text(json.dumps(content))
    with pytest.raises(RecordError, match=f"lacks {name}: delete it and start the run again"):
        read_record(written)


def test_a_record_can_be_moved_since_it_does_not_say_where_it_lies(written):
    assert "folder" not in json.loads(written.read_text())


def test_all_records_below_a_folder_are_found_in_the_order_of_their_paths(tmp_path, make_record):
    for folder, seed in (("b/seed1", 1), ("a/deep/er/seed2", 2), ("b", 3)):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        write_record(tmp_path / folder, make_record(seed=seed))
    (tmp_path / "b/seed9").mkdir()  # a run that has not finished
    assert [record.seed for record in find_records(tmp_path)] == [2, 3, 1]


def test_a_record_that_cannot_be_read_is_named_and_the_others_are_kept(tmp_path, make_record, written):
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn/result.json").write_text("{")
    with pytest.warns(UserWarning, match="torn/result.json is not whole JSON"):
        assert find_records(tmp_path) == [make_record()]


def test_a_folder_that_does_not_exist_is_not_an_empty_one(tmp_path):
    with pytest.raises(NotADirectoryError, match="there is no folder"):
        find_records(tmp_path / "nowhere")
