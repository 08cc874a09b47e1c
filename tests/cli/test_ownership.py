"""One process at a time works in a run folder."""

import subprocess
import sys

import pytest

from stn_bench.cli.ownership import LOCK, RunInProgress, check_free, owned


def test_a_folder_has_one_owner_at_a_time(tmp_path):
    with owned(tmp_path):
        with (
            pytest.raises(RunInProgress, match=r"is being worked on by another process \(started just now\)"),
            owned(tmp_path),
        ):
            pass
        with pytest.raises(RunInProgress):
            check_free(tmp_path)
    with owned(tmp_path):
        pass


def test_looking_leaves_no_trace(tmp_path):
    check_free(tmp_path)
    assert list(tmp_path.iterdir()) == []
    check_free(tmp_path / "nowhere")


def test_an_owner_that_fails_gives_the_folder_back(tmp_path):
    with pytest.raises(ZeroDivisionError), owned(tmp_path):
        raise ZeroDivisionError
    check_free(tmp_path)


def test_a_dead_owner_owns_nothing(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from stn_bench.cli.ownership import owned\n"
        "with owned(Path(sys.argv[1])): print('owned', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout.readline() == "owned\n"
        with pytest.raises(RunInProgress):
            check_free(tmp_path)
        owner.kill()
    assert (tmp_path / LOCK).exists()
    with owned(tmp_path):
        pass
