"""What the config tree offers: the choices of each group and the line that explains each. Free of hydra and torch."""

import difflib
from collections.abc import Iterable
from importlib.resources import files

GROUPS = {
    "model": "what looks",
    "transform": "how a spatial transformer may move; only *_stn models take one",
    "data": "what is seen",
    "recipe": "how it is trained",
    "recipe/optimiser": "by what the recipe updates weights, instead of its own",
    "sweep": "many runs at once",
}
"""The groups a command line chooses from, and what each answers."""


def choices(group: str) -> dict[str, str]:
    """The choices of a group by name, each with the first comment line of its file."""
    listed = {}
    for file in files("stn_bench.configs").joinpath(group).iterdir():
        name = file.name.removesuffix(".yaml")
        if name != file.name and not name.startswith("_"):
            listed[name] = _first_comment(file.read_text())
    return dict(sorted(listed.items()))


def suggestion(word: str, known: Iterable[str], before: str = "") -> str:
    """ ": did you mean ...?" with the nearest of the known words, or nothing where none is near."""
    nearest = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f": did you mean {before}{nearest[0]}?" if nearest else ""


def _first_comment(text: str) -> str:
    for line in text.splitlines():
        if line.startswith("#") and "@package" not in line:
            return line.lstrip("# ").strip()
    return ""
