"""The oldest versions are those that pyproject.toml names."""

from importlib.metadata import requires

import pytest
from oldest_versions import oldest_versions
from packaging.requirements import Requirement

MARKED = ['pytest>=8; extra == "dev"', 'old>=1; python_version < "3"']


def test_lower_bounds_and_fixed_versions_are_the_oldest():
    found = oldest_versions(["torch>=2.6", "hydra-core<1.4,>=1.3.8", "optimiser==4.1.*", *MARKED])
    assert found == ["torch==2.6", "hydra-core==1.3.8", "optimiser==4.1.*"]


def test_a_requirement_without_a_lower_bound_is_refused():
    with pytest.raises(ValueError, match=r"torch<3 has no oldest version: give it one with >="):
        oldest_versions(["torch<3"])


def test_every_library_of_the_package_has_an_oldest_version():
    wanted = {one.name for one in map(Requirement, requires("stn-bench")) if one.marker is None}
    assert {constraint.split("==")[0] for constraint in oldest_versions(requires("stn-bench"))} == wanted
    assert {"torch", "hydra-core", "matplotlib"} <= wanted
