"""The contact sheet of stn-data preview: the same digits under each distortion."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.override_parser.overrides_parser import OverridesParser

from stn_bench import figures, schema
from stn_bench.cli.build import ConfigError
from stn_bench.cli.choices import check_names, choices, own_trees, suggestion
from stn_bench.cli.mistakes import explain
from stn_bench.cli.parts import build_data


def distortion_sheet(
    path: str | Path,
    names: Sequence[str],
    count: int,
    seed: int,
    words: Sequence[str] = (),
    folder: str | None = None,
) -> None:
    """Draw `count` training digits of the first epoch of `seed`, a row per data set of `names`, into a PNG file.

    `words` are KEY=VALUE as stn-train takes them, for every row, and `folder` is one of configs of one's own.

    Raises ConfigError for an unknown data set, for a count below 1 or above that of the training digits, and for words
    that cannot be followed; stn_bench.cli.choices.NameTaken for a config in `folder` that Hydra would not read.
    """
    trees = [] if folder is None else own_trees(["--config-dir", folder])
    check_names(trees)
    if folder is not None and not Path(folder).is_dir():
        raise ConfigError(f"there is no folder {folder} of configs: name one that has data/ in it")
    known = choices("data", trees)
    for name in names:
        if name not in known:
            raise ConfigError(f"there is no data set {name}{suggestion(name, known)}; there are {', '.join(known)}")
    if count < 1:
        raise ConfigError(f"a sheet of {count} digits shows nothing: ask for at least 1")
    schema.register()
    rows = {}
    for name in names:
        data = _data([f"data={name}", *words], trees)
        if count > data.train_count:
            raise ConfigError(f"there are {data.train_count:,} training digits of {name}: {count:,} cannot be drawn")
        rows[name.upper()] = next(data.training_batches(seed, 0, count))[0]
    figures.save(figures.contact_sheet(rows), Path(path))


def _data(overrides: Sequence[str], trees: Sequence[str]) -> Any:
    """The data as stn-train would build them. Raises ConfigError for what it would refuse, and for idle words."""
    try:
        _check_keys(overrides)
        with initialize_config_module("stn_bench.configs", version_base="1.3"):
            return build_data(compose("train", overrides=[*overrides, f"hydra.searchpath={list(trees)}"]))
    except Exception as error:
        sentence = explain(error, [*overrides, f"hydra.searchpath={list(trees)}"])
        if sentence is None:
            raise
        raise ConfigError(sentence) from error


def _check_keys(overrides: Sequence[str]) -> None:
    for override in OverridesParser.create().parse_overrides(list(overrides))[1:]:
        key = override.key_or_group
        if key == "data":
            raise ConfigError("data sets are named by --sets, as in --sets r,p; a word sets a key of theirs")
        if not key.startswith("data.") and key != "trusted":
            raise ConfigError(f"{key} changes nothing in a picture of digits: set keys that begin with data.")
        if override.is_sweep_override():
            raise ConfigError(f"{key} has several values, and a picture takes one: write {key}=[...] for a list")
