"""What tests of several folders share. One thread for all: small tensors only make threads wait for one another."""

import os
import subprocess

import hypothesis
import numpy as np
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before anything imports torch, and for the commands that tests start

hypothesis.settings.register_profile("any machine", deadline=None)  # how slow one is states no law
hypothesis.settings.load_profile("any machine")


@pytest.fixture
def compose_config():
    """A function of overrides to the config that `stn-train` would build; with `hydra=True` Hydra's part, too."""
    from hydra import compose, initialize_config_module

    from stn_bench import schema

    schema.register()
    with initialize_config_module("stn_bench.configs", version_base="1.3"):
        yield lambda *overrides, hydra=False: compose("train", list(overrides), return_hydra_config=hydra)


@pytest.fixture
def few_digits():
    """MNIST of 640 and 50 noisy pictures of ten kinds: quickly loaded, quickly learned, the same each time."""
    from stn_bench.data.mnist import MNIST

    random = np.random.default_rng(0)
    kinds = np.kron(random.random((10, 7, 7)) > 0.5, np.ones((4, 4))) * 200

    def draw(count):
        labels = random.integers(0, 10, count)
        return (kinds[labels] + random.integers(0, 55, (count, 28, 28))).astype(np.uint8), labels.astype(np.uint8)

    return MNIST(*draw(640), *draw(50), sha256="few digits")


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of its own, of one MiB; needs the right to mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no right to mount a disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
