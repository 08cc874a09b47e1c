"""How a sweep fails. Hydra, which loads a plugin's modules anew, passes those over that begin with an underscore."""

from stn_bench.errors import UserError


class SweepFailed(UserError, RuntimeError):
    """Raised at the end of a sweep in which jobs failed, or which has no jobs."""
