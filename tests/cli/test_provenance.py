"""The commit that a run is of."""

import shutil
import subprocess

import pytest

from stn_bench.cli import provenance
from stn_bench.cli.provenance import git_commit


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A source tree elsewhere, of which the module believes to be a part."""
    (tmp_path / "stn_bench/cli").mkdir(parents=True)
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "stn_bench/cli/provenance.py"))
    return tmp_path


def test_outside_of_a_source_tree_there_is_no_commit(tree):
    assert git_commit() is None


def test_where_git_does_not_answer_there_is_no_commit(tree, monkeypatch):
    (tree / ".git").mkdir()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tree.parent))
    assert git_commit() is None
    monkeypatch.setenv("PATH", "")
    assert git_commit() is None


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_commit_is_marked_where_the_package_was_changed_since(tree):
    def git(*words):
        identity = ("-c", "user.name=x", "-c", "user.email=x@x", "-c", "commit.gpgsign=false")
        return subprocess.run(["git", "-C", tree, *identity, *words], check=True, capture_output=True, text=True).stdout

    (tree / "stn_bench/module.py").write_text("1")
    for folder in ("configs", "notes"):
        (tree / folder).mkdir()
        (tree / folder / "file").write_text("1")
    (tree / "pyproject.toml").touch()
    git("init")
    git("add", ".")
    git("commit", "--message=all")
    commit = git("rev-parse", "HEAD").strip()
    assert git_commit() == commit
    (tree / "notes/file").write_text("2")
    assert git_commit() == commit
    (tree / "configs/file").write_text("2")
    assert git_commit() == f"{commit}+"
    git("checkout", "configs")
    assert git_commit() == commit
    (tree / "stn_bench/added.py").touch()
    assert git_commit() == f"{commit}+"
