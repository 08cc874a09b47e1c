"""From a config node to the object it describes: the only caller of instantiate."""

import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from stn_bench.cli.argument_types import misfit
from stn_bench.errors import UserError

TRUSTED = ("stn_bench", "torch.nn", "torch.optim")
PARTS = ("data", "distortions", "models", "spatial_transformer", "training", "transforms")
"""What of stn_bench a config describes. The rest writes files and runs commands, for a hostile config to misuse."""
FETCHING = (
    "stn_bench.data.download",
    "stn_bench.data.mnist",
    "stn_bench.data.packages",
    "stn_bench.data.sources",
)
"""What does so in `data`."""


class ConfigError(UserError, ValueError):
    """A config that cannot be built; the message says which key, what was found and what to do."""


def build(node: DictConfig, key: str, trusted: Sequence[str] = (), **arguments: Any) -> Any:
    """Build what `node`, found at `key`, describes; `arguments` are handed to its constructor, too.

    Only names below `stn_bench`'s PARTS, `torch.nn`, `torch.optim` and the packages in `trusted` are built.
    Raises ConfigError for other names, for values of another type than the constructor asks for, and for those that it
    refuses.
    """
    plain = OmegaConf.to_container(node, resolve=True) if node else {}
    for place, described in _targets(plain, key):
        constructor = _trusted(place, described["_target_"], trusted)
        # others' hints need not be right
        if _below(described["_target_"], TRUSTED) and (wrong := misfit(constructor, described)):
            raise ConfigError(f"{place}.{wrong}")
    if not (isinstance(plain, dict) and "_target_" in plain):
        raise ConfigError(f"{key} has no _target_, so nothing can be built of it: is its config a whole one?")
    try:
        return instantiate(plain, **arguments, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__ or error
        if not isinstance(cause, (ValueError, TypeError, AttributeError, RuntimeError)):
            raise cause from None  # what went wrong is not the config's doing: data that cannot be had, say
        raise ConfigError(f"{key} cannot be built: {cause}") from error


def _targets(node: Any, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield key, node
        for name, child in node.items():
            yield from _targets(child, f"{key}.{name}")
    elif isinstance(node, list):
        for index, child in enumerate(node):
            yield from _targets(child, f"{key}[{index}]")


def _trusted(place: str, target: Any, trusted: Sequence[str]) -> Callable[..., Any]:
    allowed = (*TRUSTED, *trusted)
    if not isinstance(target, str) or not _below(target, allowed):
        package = str(target).split(".")[0]
        raise ConfigError(
            f"{place}._target_={target} is not built: only names below {', '.join(allowed)} are; "
            f"if you trust the package, add trusted=[{package}]"
        )
    # a name below a trusted package can still be somebody else's module that it imports: follow it to its home
    parts = target.split(".")
    try:
        found: Any = importlib.import_module(parts[0])
    except ModuleNotFoundError as error:
        if error.name != parts[0]:
            raise ConfigError(f"{place}._target_={target}: {parts[0]} cannot be imported: {error}") from error
        raise ConfigError(f"{place}._target_={target}: there is no package {parts[0]!r} here") from None
    for depth, part in enumerate(parts[1:], 2):
        if not hasattr(found, part):
            module = ".".join(parts[:depth])
            try:
                importlib.import_module(module)
            except ModuleNotFoundError as error:
                if not f"{module}.".startswith(f"{error.name}."):
                    raise ConfigError(f"{place}._target_={target}: {module} cannot be imported: {error}") from error
                raise ConfigError(f"{place}._target_={target} does not exist: there is no {part!r} in it") from None
        found = getattr(found, part)
    home = getattr(found, "__module__", None)
    homes = (*(f"stn_bench.{part}" for part in PARTS), *TRUSTED[1:], *trusted)
    if home is None or not callable(found) or not _below(home, homes) or _below(home, FETCHING):
        raise ConfigError(f"{place}._target_={target} is not built: it belongs to {home}, not to {', '.join(homes)}")
    built: Callable[..., Any] = found
    return built


def _below(name: str, packages: Sequence[str]) -> bool:
    return any(f"{name}.".startswith(f"{package}.") for package in packages)
