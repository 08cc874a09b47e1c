"""Random warps that make data: each draws its parameters from a generator and turns them into points."""

from stn_bench.distortions.affine import Rotation, RotationScaleTranslation, Undistorted
from stn_bench.distortions.distortion import Distortion
from stn_bench.distortions.elastic import Elastic
from stn_bench.distortions.projective import Projective

__all__ = ["Distortion", "Elastic", "Projective", "Rotation", "RotationScaleTranslation", "Undistorted"]
