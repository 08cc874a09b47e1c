"""Errors that a user can mend, each as one sentence: what was wrong, what was found, what to do."""

import re
from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, ListConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from hydra_plugins.stn_jobs._overrides import values_of
from stn_bench.cli.arguments import parsed
from stn_bench.cli.choices import GROUPS, choices, own_trees, suggestion
from stn_bench.cli.faults import of_system
from stn_bench.errors import UserError


def explain(error: Exception, arguments: Sequence[str]) -> str | None:
    """A sentence for an error of a command line's making; None for one that is not, which deserves its traceback."""
    cause: BaseException | None = error
    while cause is not None:  # Hydra and OmegaConf wrap what is raised while a config is composed
        if isinstance(cause, UserError):
            return str(cause)
        cause = cause.__cause__
    composing = isinstance(error, HydraException | OmegaConfBaseException | YAMLError) or _is_about_a_choice(error)
    if not (composing or (isinstance(error, UnicodeDecodeError) and own_trees(arguments))):
        # an output folder that cannot be made, say
        return of_system(error) or str(error) if isinstance(error, OSError) else None
    if isinstance(error, OverrideParseException):
        return _unreadable(str(error.override))
    if isinstance(error, YAMLError | UnicodeDecodeError):
        return f"a config cannot be read: {' '.join(str(error).split())}"
    overrides = OverridesParser.create().parse_overrides(_overrides(arguments))
    trees = own_trees(arguments)
    for folder in (tree.removeprefix("file://") for tree in trees if tree.startswith("file://")):
        if not Path(folder).is_dir():
            return f"there is no folder {folder} of configs: name one that has model/, data/ and the like in it"
    for wrong in (_wrong_choice, _wrong_key):  # which keys there are depends on choices that exist
        for override in overrides:
            if sentence := wrong(override, overrides, trees):
                return sentence
    for override in overrides:
        if override.is_sweep_override() and not {"-m", "--multirun"} & set(arguments):
            key = override.key_or_group
            if key == "sweep":
                return "several sweeps are no sweep: type a command for each"
            a_list = "" if key in GROUPS else f", or write {key}=[...] for a list"
            return f"{key}={','.join(values_of(override))} names several values: add -m for a run of each{a_list}"
    return _first_line(error)


def _unreadable(override: str) -> str:
    key, sign, value = override.partition("=")
    if not sign:
        return f"{override!r} is not of the form key=value"
    quoted = f""", as in "{key}='{value}'\"""" if not {"'", '"'} & set(value) else ""
    return f"{override!r} cannot be read: brackets are not closed in pairs, or signs need quotes of their own{quoted}"


def _is_about_a_choice(error: Exception) -> bool:
    """Hydra's word on a choice that is no word, as in model=0 or transform=null, which is no error of its own kind."""
    return isinstance(error, ValueError) and str(error).startswith("Config group override must be")


def _overrides(arguments: Sequence[str]) -> list[str]:
    """The words that choose or set something: neither options nor their values, as `job` in `--cfg job`."""
    return [word for word in parsed(arguments)[0].overrides if "=" in word or word.startswith("~")]


def _wrong_choice(override: Override, overrides: Sequence[Override], trees: Sequence[str]) -> str | None:
    group = override.key_or_group
    if group not in GROUPS:
        return None
    known = choices(group, trees)
    for value in values_of(override):
        if value not in known:
            return (
                f"{group}={value} does not exist{suggestion(value, known, f'{group}=')}; there are {', '.join(known)}"
            )
    models = next((values_of(other) for other in overrides if other.key_or_group == "model"), [])
    if group == "transform" and (plain := [model for model in models if f"{model}_stn" in choices("model")]):
        return (
            f"model={plain[0]} has no spatial transformer, so it takes no transform={values_of(override)[0]}: "
            f"choose model={plain[0]}_stn, or leave transform out"
        )
    return None


def _wrong_key(override: Override, overrides: Sequence[Override], trees: Sequence[str]) -> str | None:
    key = override.key_or_group
    if key in GROUPS or key.startswith("hydra") or override.is_add() or override.is_force_add():
        return None
    groups = [f"{other.key_or_group}={values_of(other)[0]}" for other in overrides if other.key_or_group in GROUPS]
    GlobalHydra.instance().clear()
    with initialize_config_module("stn_bench.configs", version_base="1.3"):
        try:
            node: object = compose("train", overrides=[*groups, f"hydra.searchpath={list(trees)}"])
        except (HydraException, OmegaConfBaseException, YAMLError, UnicodeDecodeError):
            return None  # it is not the key that is wrong
    path = key.split(".")
    for depth, name in enumerate(path):
        if isinstance(node, ListConfig) and name.isdigit() and int(name) < len(node):
            node = node[int(name)]
            continue
        if not isinstance(node, DictConfig):
            return f"{'.'.join(path[:depth])} has no keys of its own, so {key} does not exist"
        if name not in node:
            before = "".join(f"{part}." for part in path[:depth])
            known = list(dict.fromkeys([*map(str, node), *(GROUPS if depth == 0 else ())]))
            return f"there is no key {before}{name}{suggestion(name, known, before)}; there are {', '.join(known)}"
        node = node._get_node(name)
    return None


def _first_line(error: BaseException) -> str:
    """What went wrong, without the advice to add unknown keys, and with the cause where there is one."""
    text = re.sub(r"^\w+ raised while resolving interpolation: ", "", str(error))
    lines = [line for line in text.splitlines() if line and not re.match(r"\s|To append|See https|Set the env", line)]
    cause = error.__cause__
    return ": ".join([*lines[:1], *([_first_line(cause)] if cause is not None and str(cause) not in lines[0] else [])])
