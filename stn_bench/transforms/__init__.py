"""Warps that a network can predict: functions of parameters and points, without image, device or state."""

from stn_bench.transforms.affine import Affine, Attention, Rotation, Similarity, Translation
from stn_bench.transforms.projective import Projective
from stn_bench.transforms.thin_plate_spline import ThinPlateSpline
from stn_bench.transforms.transform import NoClosedFormInverse, Transform

__all__ = [
    "Affine",
    "Attention",
    "NoClosedFormInverse",
    "Projective",
    "Rotation",
    "Similarity",
    "ThinPlateSpline",
    "Transform",
    "Translation",
]
