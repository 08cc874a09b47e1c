"""The oldest version of each library that stn_bench may be installed with, as constraints for pip.

    python scripts/oldest_versions.py > constraints.txt

`make test-oldest` runs the tests with them: what `pyproject.toml` promises of old versions is then more than a hope.
"""

from importlib.metadata import requires

from packaging.requirements import Requirement

LOWER_BOUNDS = (">=", "==")


def oldest_versions(requirements: list[str]) -> list[str]:
    """A constraint `name==version` for each requirement; those of extras, and of other platforms, are left out.

    Raises ValueError for a requirement without a lower bound.
    """
    constraints = []
    for requirement in map(Requirement, requirements):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        bounds = [bound.version for bound in requirement.specifier if bound.operator in LOWER_BOUNDS]
        if not bounds:
            raise ValueError(f"{requirement} has no oldest version: give it one with >=")
        constraints.append(f"{requirement.name}=={bounds[0]}")
    return constraints


if __name__ == "__main__":
    print("\n".join(oldest_versions(requires("stn-bench") or [])))
