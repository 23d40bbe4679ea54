"""Networks, and loading and saving them."""

from tiercel.models.config import Calibration, ModelConfig, RegionFit
from tiercel.models.features import BlockFeatures, PhotoFeatures
from tiercel.models.model import Model, load_model, save_model
from tiercel.models.strips import Strip, photo_strip

__all__ = [
    "BlockFeatures",
    "Calibration",
    "Model",
    "ModelConfig",
    "PhotoFeatures",
    "RegionFit",
    "Strip",
    "load_model",
    "photo_strip",
    "save_model",
]
