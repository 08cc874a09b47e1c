"""What a run tells while it trains: TensorBoard and JSON lines in its folder, a bar on a terminal, a line an epoch."""

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from stn_bench.figures import warp_figure
from stn_bench.stderr import say
from stn_bench.training import events
from stn_bench.training.evaluation import Warped
from stn_bench.training.json_lines import METRICS, JsonLines

PICTURED = 8
"""How many images of a batch are drawn."""

LOST = {
    "outside": (0.6, "looks outside of the image at {:.0%} of its points"),
    "folded": (0.02, "mirrors or folds the image at {:.0%} of its points"),
}
"""Above which value which statistic of `measure.summary` is worth a warning, and how it is put."""

log = logging.getLogger(__name__)


class Logbook:
    """Writes a run's progress to `folder` and to standard error; use it in a `with` statement.

    Args:
        folder: of the run.
        steps: how many the run has.
        done: how many of them are done.
        position: what `position` gave then; what was written since is removed. None: start anew.
    """

    def __init__(self, folder: Path, steps: int, done: int = 0, position: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        events.cut(folder, {} if position is None else position["events"])
        self.metrics = JsonLines(folder / METRICS, None if position is None else position["metrics"])
        # the files are cut; a TensorBoard that has read them before is told by purge_step
        self.writer = SummaryWriter(str(folder), purge_step=None if position is None else done + 1)
        self.bar = tqdm(total=steps, initial=done, unit="step", disable=not sys.stderr.isatty(), dynamic_ncols=True)
        self._warned: set[str] = set()

    def __enter__(self) -> "Logbook":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.bar.close()
        self.writer.close()

    def steps(self, count: int = 1) -> None:
        """Move the bar on."""
        self.bar.update(count)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write numbers by name, as of a step."""
        self.metrics.add(step, values)
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def line(self, text: str) -> None:
        """Say something, under the bar if there is one."""
        say(text)

    def warped(self, step: int, name: str, seen: Warped, statistics: Mapping[str, float]) -> None:
        """Write a transformer's statistics and theta, and warn, once a kind, where it seems lost."""
        self.scalars(step, {f"{name}/{statistic}": value for statistic, value in statistics.items()})
        self.writer.add_histogram(f"{name}/theta", seen.theta.float().cpu().numpy(), step)
        for statistic, (limit, words) in LOST.items():
            if statistics.get(statistic, 0.0) > limit and f"{name}/{statistic}" not in self._warned:
                self._warned.add(f"{name}/{statistic}")
                log.warning(
                    "at step %d %s %s: lower recipe.localiser_lr_multiplier or set recipe.clip_norm if it stays so",
                    step,
                    name,
                    words.format(statistics[statistic]),
                )

    def picture(self, step: int, name: str, seen: Warped) -> None:
        """Draw inputs with the sampled frames on them, and outputs."""
        figure = warp_figure(seen.inputs[:PICTURED], seen.points[:PICTURED], seen.outputs[:PICTURED])
        self.writer.add_figure(f"{name}/frames", figure, step)

    def position(self) -> dict[str, Any]:
        """Where the files stand, once all that was told is in them and on the disk."""
        self.writer.flush()
        return {"events": events.lengths(self.folder), "metrics": self.metrics.position()}
