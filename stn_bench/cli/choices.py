"""What the config tree offers: the choices of each group and the line that explains each. Free of hydra and torch."""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

from stn_bench.errors import UserError

GROUPS = {
    "model": "the network",
    "transform": "the kind of warp that a spatial transformer predicts; for *_stn models only",
    "data": "the data set",
    "recipe": "how the network is trained",
    "recipe/optimiser": "another optimiser than the recipe's",
    "sweep": "many runs with one command",
}
"""The groups a command line chooses from, and what is chosen in each."""


class NameTaken(UserError, ValueError):
    """A config of one's own by the name of one of the package's, which Hydra would read in its place."""


def own_trees(arguments: Sequence[str]) -> list[str]:
    """The config trees that a command line adds to the package's: file://FOLDER or pkg://PACKAGE, as Hydra has it."""
    found = []
    for word, after in pairwise([*arguments, ""]):
        option, _, folder = word.partition("=")
        if option in ("--config-dir", "-cd"):
            found.append(f"file://{Path(folder or after).absolute()}")
        elif option == "hydra.searchpath":
            found += re.findall(r"(?:file|pkg)://[^],'\"]+", folder)
    return found


def check_names(trees: Iterable[str]) -> None:
    """Raise NameTaken for a config in trees of one's own that Hydra would not read."""
    packaged = Path(str(files("stn_bench.configs")))
    for tree in trees:
        for config in sorted(packaged.rglob("*.yaml")):
            with suppress(OSError, ModuleNotFoundError):  # Hydra says what is wrong with it
                name = config.relative_to(packaged).as_posix()
                own = _place(tree, name)
                if own.is_file() and own.read_bytes() != config.read_bytes():
                    raise NameTaken(f"{own} would not be read, as stn_bench has its own {name}: give it another name")


def choices(group: str, trees: Iterable[str] = ()) -> dict[str, str]:
    """The choices of a group by name, each with the first comment line of its file; `trees` are one's own."""
    listed: dict[str, str] = {}
    for tree in ("pkg://stn_bench.configs", *trees):
        for name, text in _texts(tree, group):
            listed.setdefault(name, _first_comment(text))
    return dict(sorted(listed.items()))


def _texts(tree: str, group: str) -> Iterator[tuple[str, str]]:
    with suppress(OSError, ModuleNotFoundError, UnicodeDecodeError):  # one's own: Hydra says what is wrong with it
        for file in _place(tree, group).iterdir():
            name = file.name.removesuffix(".yaml")
            if name != file.name and not name.startswith("_"):
                yield name, file.read_text(encoding="utf-8")


def _place(tree: str, name: str) -> Any:
    """A folder or a file in a tree."""
    kind, _, root = tree.partition("://")
    return (files(root) if kind == "pkg" else Path(root)).joinpath(name)


def suggestion(word: str, known: Iterable[str], before: str = "") -> str:
    """ ": did you mean ...?" with the nearest of the known words, or nothing where none is near."""
    nearest = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f": did you mean {before}{nearest[0]}?" if nearest else ""


def _first_comment(text: str) -> str:
    for line in text.splitlines():
        if line.startswith("#") and "@package" not in line:
            return line.lstrip("# ").strip()
    return ""
