"""The runs that a table lacks, and the few commands that train them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stn_bench.results.table import WANTED, Cell, Table

Names = tuple[str | None, ...]
AXES = ("model", "transform", "data")
SEEDS = tuple(range(1, WANTED + 1))
MOST = 3  # commands that a person would type


@dataclass(frozen=True)
class Block:
    """Runs that one command makes: every value of one axis with every value of the others."""

    sweep: str | None  # None: there is none, and the command lists its choices
    recipe: str | None
    tag: str | None  # None: there is none, or the sweep has it
    seeds: tuple[int, ...]
    model: Names
    transform: Names | None  # None: whatever transforms the sweep has for these models, be it none
    data: Names


def missing_seeds(cell: Cell, wanted: int = WANTED) -> tuple[int, ...]:
    """The seeds to train until a cell has `wanted` runs, whatever their seeds; nothing for one that has."""
    if len(cell.runs) >= wanted:
        return ()
    return tuple(seed for seed in SEEDS if seed not in cell.seeds)[: wanted - len(cell.runs)]


def fill_commands(table: Table) -> list[str]:
    """The commands that train each missing run of a table once.

    They narrow the sweep of the table or of the row, or list choices where there is none. Of the ways to put cells
    together axis by axis, the one with the fewest commands is taken. Where that are more than three, those of a sweep
    give way to one that spans them all: it makes other runs of the table, too; finished ones `stn-train` skips.
    """
    cells = [(cell, missing_seeds(cell, table.wanted)) for cell in table.distinct]
    blocks = [_block(cell, seeds, table) for cell, seeds in cells if seeds]
    ways = [_joined(blocks, order, table) for order in itertools.permutations(AXES)]
    few = min(ways, key=len)
    if len(few) > MOST:
        sweeps = dict.fromkeys(block.sweep for block in few)
        few = [block for sweep in sweeps for block in _spanned([block for block in few if block.sweep == sweep])]
    return [_command(block, table) for block in few]


def _block(cell: Cell, seeds: tuple[int, ...], table: Table) -> Block:
    chosen, sweep = cell.choices, _sweep(cell, table)
    tag = None if sweep and "tag" in cell.row.match else chosen["tag"]
    return Block(sweep, chosen["recipe"], tag, seeds, (chosen["model"],), (chosen["transform"],), (chosen["data"],))


def _sweep(cell: Cell, table: Table) -> str | None:
    return cell.row.sweep or table.spec.sweep


def _joined(blocks: Sequence[Block], order: Sequence[str], table: Table) -> list[Block]:
    """Blocks that differ along one axis alone put together, one axis after the other."""
    for axis in order:
        groups: dict[Block, list[Block]] = {}
        for block in blocks:
            nowhere: dict[str, Any] = {axis: ()}
            groups.setdefault(replace(block, **nowhere), []).append(block)
        joined: Iterable[dict[str, Any]] = (
            {axis: _union(getattr(block, axis) for block in group)} for group in groups.values()
        )
        blocks = [replace(like, **values) for like, values in zip(groups, joined, strict=True)]
        if axis == "transform":
            blocks = [
                replace(block, transform=None) if _has_all_transforms(block, table) else block for block in blocks
            ]
    return list(blocks)


def _spanned(blocks: list[Block]) -> list[Block]:
    """Blocks of one sweep, put into a single one where they have one recipe and tag; without a sweep, as they are."""
    if blocks[0].sweep is None or len({(block.recipe, block.tag) for block in blocks}) > 1:
        return blocks
    return [_around(blocks)]


def _around(blocks: Sequence[Block]) -> Block:
    """The smallest block that holds all of these, which have one sweep, recipe and tag."""
    values: dict[str, Any] = {axis: _union(getattr(block, axis) for block in blocks) for axis in AXES}
    if None in (values["transform"] or ()):  # a model without one is among them, and a transform would rule it out
        values["transform"] = None
    return replace(blocks[0], **values, seeds=tuple(sorted({seed for block in blocks for seed in block.seeds})))


def _union(values: Iterable[Names | None]) -> Names | None:
    listed = list(values)
    return None if None in listed else tuple(dict.fromkeys(itertools.chain.from_iterable(filter(None, listed))))


def _has_all_transforms(block: Block, table: Table) -> bool:
    of_models = {match.get("transform") for match in _filled(block, table) if match["model"] in block.model}
    return block.sweep is not None and block.transform is not None and of_models == set(block.transform)


def _filled(block: Block, table: Table) -> list[Mapping[str, str | None]]:
    """The choices of all cells that the block's sweep fills, whether the table shows them or not."""
    rows = [row for row in table.spec.rows if (row.sweep or table.spec.sweep) == block.sweep]
    return [row.match_in(column) for row in rows for column in table.spec.columns]


def _command(block: Block, table: Table) -> str:
    sweep = block.sweep
    words = ["stn-train", *([f"sweep={sweep}"] if sweep else [])]
    for axis in AXES:
        values = getattr(block, axis)
        everything = {match.get(axis) for match in _filled(block, table)}
        if values is not None and any(values) and not (sweep and set(values) == everything):
            words.append(f"{axis}={','.join(filter(None, values))}")
    words += [f"{key}={value}" for key, value in (("recipe", block.recipe), ("tag", block.tag)) if value is not None]
    if not sweep or block.seeds != SEEDS:
        words.append(f"seed={','.join(map(str, block.seeds))}")
    return " ".join([*words, *([] if sweep else ["-m"])])
