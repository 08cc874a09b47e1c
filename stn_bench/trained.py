"""A finished run as objects, for code that goes on from it: its network, with the weights it learnt, and its data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from stn_bench.errors import UserError

if TYPE_CHECKING:
    from stn_bench.data.distorted import DistortedDigits


class NotLoaded(UserError, ValueError):
    """A folder that holds no finished run, or one whose files do not fit together; the message says what to do."""


class Trained(NamedTuple):
    """What a run made, and what it was made from."""

    network: nn.Module
    """With the weights it was evaluated with, in evaluation mode: images (B, C, H, W) to logits (B, classes)."""
    data: DistortedDigits
    """Batches of the images that it learnt from and was evaluated on."""


def load_run(folder: str | Path, device: torch.device | str = "cpu", trusted: Sequence[str] = ()) -> Trained:
    """The network of a finished run of `stn-train`, and its data, on a device.

    Args:
        folder: the run's, such as outputs/runs/r/cnn_stn-affine/fast/seed1.
        device: where both are put.
        trusted: packages besides stn_bench and torch whose classes the run's config may name; the run's own
            `trusted` is ignored, since a config may be anybody's.
    Raises NotLoaded for a folder without a finished run and for weights that cannot be read or do not fit; ConfigError
    for a config that cannot be built; RecordError for a damaged record where the config is damaged, too; what
    `load_mnist` raises.
    """
    from omegaconf import OmegaConf
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from stn_bench.cli.build import build
    from stn_bench.cli.run_folder import CONFIG, WEIGHTS, FolderDamaged, read_config
    from stn_bench.results.record import FILE_NAME, read_record

    folder = Path(folder)
    for name in (FILE_NAME, WEIGHTS):
        if not (folder / name).is_file():
            raise NotLoaded(
                f"{folder} holds no finished run, as it has no {name}: name the folder of one, or finish it with the "
                "same stn-train command"
            )
    try:
        config = OmegaConf.create(read_config(folder / CONFIG))
    except FolderDamaged:  # or gone: the record has it, too
        config = OmegaConf.create(read_record(folder / FILE_NAME).config)
    data = build(config.data, "data", trusted).to(device)
    with torch.random.fork_rng(devices=[]):  # the initial weights are drawn, to be overwritten
        network = build(config.model, "model", trusted, image_shape=data.image_shape, classes=data.classes)
    try:
        network.load_state_dict(load_file(folder / WEIGHTS))
    except (SafetensorError, RuntimeError) as error:
        why = " ".join(str(error).split())  # on one line
        raise NotLoaded(f"{folder / WEIGHTS} does not hold the weights of its config: {why}") from error
    return Trained(network.to(device).eval(), data)
