"""What a config describes is tried out before a run begins: what would fail after training is refused."""

import numpy as np
import pytest

from stn_bench.cli.build import ConfigError
from stn_bench.cli.parts import Parts
from stn_bench.data.distorted import DistortedDigits
from stn_bench.models import FCN


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("sha256", None, r"data\.sha256=None does not fit: Expected `str`"),
        ("evaluated_on", "dev", r"data\.evaluated_on='dev' does not fit: Invalid enum value 'dev'"),
        ("train_count", np.int64(640), r"data\.train_count=.*640.* does not fit: Expected `int`"),
        ("to", lambda device: None, r"data\.to returns nothing: have it return the data, moved to the device"),
    ],
)
def test_data_that_a_run_could_not_record_are_refused(compose_config, few_files, monkeypatch, name, value, words):
    fixed = property(lambda self: value, lambda self, given: None)
    monkeypatch.setattr(DistortedDigits, name, fixed, raising=False)
    with pytest.raises(ConfigError, match=f"^{words}"):
        Parts.of(compose_config("model=fcn", "recipe=smoke"))


def test_a_network_with_a_state_that_is_no_tensor_is_refused(compose_config, few_files, monkeypatch):
    monkeypatch.setattr(FCN, "get_extra_state", lambda self: {"count": 1})
    with pytest.raises(ConfigError, match=r"^model has _extra_state in its state, which is no tensor to be saved: "):
        Parts.of(compose_config("model=fcn", "recipe=smoke"))
