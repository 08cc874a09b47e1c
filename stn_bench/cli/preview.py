"""The contact sheet of stn-data preview: the same digits under each distortion."""

from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_module

from stn_bench import figures, schema
from stn_bench.cli.build import ConfigError, build
from stn_bench.cli.choices import choices, suggestion


def distortion_sheet(path: str | Path, names: Sequence[str], count: int, seed: int) -> None:
    """Draw `count` training digits of the first epoch of `seed`, a row per data set of `names`, into a PNG file.

    Raises ConfigError for an unknown data set, and for a count below 1 or above that of the training digits.
    """
    known = choices("data")
    for name in names:
        if name not in known:
            raise ConfigError(f"there is no data set {name}{suggestion(name, known)}; there are {', '.join(known)}")
    if count < 1:
        raise ConfigError(f"a sheet of {count} digits shows nothing: ask for at least 1")
    schema.register()
    rows = {}
    with initialize_config_module("stn_bench.configs", version_base="1.3"):
        for name in names:
            data = build(compose("train", overrides=[f"data={name}"]).data, "data")
            if count > data.train_count:
                raise ConfigError(
                    f"there are {data.train_count:,} training digits of {name}: {count:,} cannot be drawn"
                )
            rows[name.upper()] = next(data.training_batches(seed, 0, count))[0]
    figures.save(figures.contact_sheet(rows), Path(path))
