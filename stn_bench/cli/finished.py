"""What a run says that was finished before, without torch: a sweep that is typed again is through in no time."""

import os
import sys
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from stn_bench.cli.run_folder import is_finished
from stn_bench.results.record import FILE_NAME, RunRecord, read_record


def skip(cfg: DictConfig) -> str | None:
    """If the run of `cfg` is finished, say so and return "skipped", with the error in words; otherwise None.

    Raises FolderTaken where its folder holds a run of another config, RecordError where the record is damaged.
    """
    folder = Path(os.path.relpath(HydraConfig.get().runtime.output_dir))
    config = OmegaConf.to_container(cfg, resolve=True)
    if not is_finished(folder, config):  # type: ignore[arg-type]
        return None
    words = result_words(read_record(folder / FILE_NAME))
    print(f"skipped, already finished: {folder}  {words}", file=sys.stderr, flush=True)
    return f"skipped  {words}"


def result_words(record: RunRecord) -> str:
    """The error of a run with its interval."""
    low, high = record.wilson_95
    return f"{record.evaluated_on} error {100 * record.error:.2f} % (95 % interval {100 * low:.2f} to {100 * high:.2f})"
