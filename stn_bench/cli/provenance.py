"""Which source tree a run came from."""

import subprocess
from pathlib import Path


def git_commit() -> str | None:
    """The commit of the source tree that this package is in, "+" if files differ or were added; None outside of one."""
    here = Path(__file__).parents[2]
    if not (here / ".git").exists():
        return None

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(here), *words], capture_output=True, text=True, check=True).stdout

    try:
        changed = git("status", "--porcelain", "--", "stn_bench", "configs", "pyproject.toml")
        return git("rev-parse", "HEAD").strip() + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None
