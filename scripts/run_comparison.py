"""Whether the files of a run are whole, and two runs the same: what kill_runs.py asks of the runs it killed."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from stn_bench.results.record import read_record
from stn_bench.training import checkpoint


def torn_files(output: Path) -> list[Path]:
    """Files below a folder that have their name, and not a whole content."""
    readers: dict[str, Callable[[Path], Any]] = {
        "result.json": read_record,
        "status.json": lambda path: json.loads(path.read_text()),
        "config.yaml": lambda path: OmegaConf.load(path)["recipe"],
        "checkpoint": read_checkpoint,
    }
    torn = []
    for path in output.rglob("*"):
        reader = readers.get(path.name.split("-")[0])
        try:
            if reader is not None:
                reader(path)
        except Exception as error:
            print(f"torn: {path}: {error!r}")
            torn.append(path)
    return torn


def read_checkpoint(path: Path) -> None:
    """Read one as the run would. Raises ValueError for one that is not whole."""
    with suppress(checkpoint.CheckpointError):  # whole, and of a config
        checkpoint._decode(path, "")


def differences(whole: Path, folder: Path) -> list[str]:
    """What differs between two finished runs, each below its own output folder."""
    one, other = (next(output.rglob("result.json")).parent for output in (whole, folder))
    differing = [
        name
        for name in ("model.safetensors", "predictions.npz", "metrics.jsonl")
        if (one / name).read_bytes() != (other / name).read_bytes()
    ]
    if timeless(one) != timeless(other):
        differing.append("result.json")
    if curves(one) != curves(other):
        differing.append("TensorBoard")
    if {path.name.split("tfevents")[0] for path in one.iterdir()} != {
        path.name.split("tfevents")[0] for path in other.iterdir()
    }:
        differing.append("which files there are")
    return differing


def timeless(folder: Path) -> dict[str, Any]:
    """A record without its times, and without where and how the run was done."""
    record = json.loads((folder / "result.json").read_text())
    for name in ("seconds", "images_per_second", "finished_at", "git_commit"):  # somebody may commit meanwhile
        del record[name]
    for name in ("output", "checkpoint"):
        del record["config"][name]
    return record


def curves(folder: Path) -> dict[str, list[tuple[int, Any]]]:
    """Everything that TensorBoard shows of a run, by tag: steps and values."""
    events = EventAccumulator(str(folder), {"scalars": 0, "histograms": 0, "images": 0})
    events.Reload()
    tags = events.Tags()
    shown: dict[str, list[tuple[int, Any]]] = {}
    for tag in tags["scalars"]:
        shown[tag] = [(event.step, event.value) for event in events.Scalars(tag)]
    for tag in tags["histograms"]:
        shown[tag] = [
            (event.step, np.asarray(event.histogram_value.bucket).tolist()) for event in events.Histograms(tag)
        ]
    for tag in tags["images"]:
        shown[tag] = [(event.step, event.encoded_image_string) for event in events.Images(tag)]
    return shown
