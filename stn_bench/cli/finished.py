"""What a run says that was finished before, without torch: a sweep that is typed again is through in no time."""

import logging
import os
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from stn_bench.cli.run_folder import is_finished
from stn_bench.results.record import FILE_NAME, RunRecord, TornRecordError, read_record
from stn_bench.results.status import read_status
from stn_bench.stderr import say

log = logging.getLogger(__name__)


def skip(cfg: DictConfig) -> str | None:
    """If the run of `cfg` is finished, say so and return "skipped", with the error in words; otherwise None.

    A run whose record is torn is not: it is warned about, and to be done again.
    Raises FolderTaken where its folder holds a run of another config, RecordError for a record of another kind.
    """
    folder = Path(os.path.relpath(HydraConfig.get().runtime.output_dir))
    config = OmegaConf.to_container(cfg, resolve=True)
    if not is_finished(folder, config):  # type: ignore[arg-type]
        return None
    try:
        words = result_words(read_record(folder / FILE_NAME))
    except TornRecordError as error:
        log.warning("%s was finished, but its record is damaged, so it is done again (%s)", folder, error)
        return None
    say(f"skipped, already finished: {folder}  {words}")
    status = read_status(folder)
    if status is not None and status.state != "done":
        from stn_bench.cli.job import finish_up  # and with it torch, which takes seconds

        finish_up(folder)
    return f"skipped  {words}"


def result_words(record: RunRecord) -> str:
    """The error of a run with its interval."""
    low, high = record.wilson_95
    return f"{record.evaluated_on} error {100 * record.error:.2f} % (95 % interval {100 * low:.2f} to {100 * high:.2f})"
