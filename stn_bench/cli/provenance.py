"""What a run was done with: the source tree, the libraries; and the same of a run that went on with others."""

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path


def versions() -> dict[str, str]:
    """The versions of what computes a run."""
    found = {name: version(name) for name in ("stn-bench", "torch", "numpy", "hydra-core")}
    return found | {"python": platform.python_version()}


def joined(before: Mapping[str, str | None], now: Mapping[str, str | None]) -> dict[str, str | None]:
    """What a run was done with, by name: "A, then B" where it went on with another than its last."""
    return {name: _joined(before.get(name), value) for name, value in now.items()}


def _joined(before: str | None, now: str | None) -> str | None:
    if before is None or now is None:
        return now
    return before if before.split(", then ")[-1] == now else f"{before}, then {now}"


def git_commit() -> str | None:
    """The commit of the source tree that this package is in, "+" if files differ or were added; None outside of one."""
    here = Path(__file__).parents[2]
    if not (here / ".git").exists():
        return None

    def git(*words: str) -> str:
        command = ["git", "-C", str(here), *words]
        without_locks = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}  # somebody may commit at this moment
        return subprocess.run(command, capture_output=True, text=True, check=True, env=without_locks).stdout

    try:
        changed = git("status", "--porcelain", "--", "stn_bench", "configs", "pyproject.toml")
        return git("rev-parse", "HEAD").strip() + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None
