"""What became of the jobs of a sweep, whichever launcher ran them: counts, and the jobs that need another look."""

import os
from collections.abc import Sequence
from typing import NamedTuple

from hydra.core.utils import JobReturn, JobStatus

from hydra_plugins.stn_jobs._failure import in_words

KINDS = ("done", "skipped", "elsewhere", "interrupted", "not started", "failed")
"""How a job can end. The words of a job that returns begin with one of the first three, or it counts as done."""
NAMED = ("elsewhere", "interrupted", "failed")
"""Those of which each job is named."""


class End(NamedTuple):
    """How a job ended."""

    kind: str
    job: str
    words: str
    folder: str | None


def end_of(job: Sequence[str], result: JobReturn) -> End:
    """How the job with these overrides ended."""
    if result.status == JobStatus.COMPLETED:
        words = str(result.return_value)
        kind = next((kind for kind in KINDS[:3] if words.startswith(kind)), "done")
        return End(kind, " ".join(job), words.removeprefix(kind).strip(), _folder(result))
    error = result._return_value
    if isinstance(error, KeyboardInterrupt):
        kind = "not started" if str(error) == "not started" else "interrupted"
        return End(kind, " ".join(job), str(error), _folder(result))
    return End("failed", " ".join(job), in_words(error), _folder(result))


def summary(ends: Sequence[End]) -> str:
    """A line for each job to be named, with the reason and the run's folder, and a last one with the counts."""
    lines = [
        "  ".join(filter(None, (end.kind, end.job, end.words, end.folder)))
        for kind in NAMED
        for end in ends
        if end.kind == kind
    ]
    counts = [(kind, sum(end.kind == kind for end in ends)) for kind in KINDS]
    return "\n".join([*lines, f"{len(ends)} runs: " + ", ".join(f"{count} {kind}" for kind, count in counts if count)])


def _folder(result: JobReturn) -> str | None:
    if result.hydra_cfg is None:
        return None
    return os.path.relpath(result.hydra_cfg.hydra.runtime.output_dir)
