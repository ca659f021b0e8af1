"""Pictures of trained models, drawn with matplotlib as scikit-learn's displays are."""

from ._codes import LatentSpaceDisplay, PriorMatchDisplay
from ._losses import LossCurveDisplay
from ._samples import InterpolationDisplay, ReconstructionDisplay, SampleDisplay

__all__ = [
    "InterpolationDisplay",
    "LatentSpaceDisplay",
    "LossCurveDisplay",
    "PriorMatchDisplay",
    "ReconstructionDisplay",
    "SampleDisplay",
]
