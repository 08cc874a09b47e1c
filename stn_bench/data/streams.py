"""Stateless randomness: what is drawn depends on (seed, epoch, stream name) and on nothing that was drawn before."""

import hashlib

import torch


def generator(seed: int, epoch: int, stream: str) -> torch.Generator:
    """A CPU generator for one stream of one epoch of one seed; any epoch can be entered without replaying others."""
    digest = hashlib.sha256(f"{seed}/{epoch}/{stream}".encode()).digest()
    # drawn on the CPU, so that every device sees the same numbers
    return torch.Generator("cpu").manual_seed(int.from_bytes(digest[:8], "big") >> 1)
