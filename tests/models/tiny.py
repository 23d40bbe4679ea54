"""A model small enough for tests, with all its heads, and a scene whose colours say where one looks."""

import numpy as np
import torch

from tiercel.models import Model, ModelConfig

SIZES = {
    "name": "tiny",
    "width": (8, 12, 16),
    "column_width": 12,
    "key_width": 4,
    "zoom_width": 8,
    "match_width": 4,
    "template_m": 32.0,
    "block_leaves": 4,
    "margin_leaves": 1,
}


def tiny_config(**changes) -> ModelConfig:
    return ModelConfig(**{**SIZES, **changes})


def tiny_model(seed=0, **changes) -> Model:
    """Weights are drawn by name, so that they do not depend on how the layers are initialised."""
    model = Model(tiny_config(**changes))
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for name, value in sorted(model.state_dict().items()):
            if value.is_floating_point() and "running_var" not in name:
                fan_in = value.shape[1] if name.endswith("ray_weight") else value[0].numel() if value.ndim > 1 else 16
                drawn = rng.standard_normal(value.shape) * (2 / fan_in) ** 0.5
                value.copy_(torch.as_tensor(drawn + name.endswith("normalisation.weight")))
    return model.eval()


def scene(azimuth_deg, tangent) -> np.ndarray:
    """Colours (..., 3), 0 to 255, of the direction at an azimuth and a tangent of elevation; alike in no two."""
    azimuth, tangent = np.broadcast_arrays(np.radians(azimuth_deg), tangent)
    red, green = np.sin(azimuth), np.cos(azimuth) * np.cos(azimuth + 0.7)
    return 128 + 110 * np.stack([red, green, np.tanh(1.5 * tangent)], -1)


def panorama_of_scene(heading, width=1024, field_of_view=360.0) -> np.ndarray:
    """An equirectangular picture whose centre column looks to the heading."""
    height = width // 2
    azimuth = heading + ((np.arange(width) + 0.5) / width - 0.5) * field_of_view
    elevation = (0.5 - (np.arange(height) + 0.5) / height) * field_of_view / 2
    return to_bytes(scene(azimuth[None], np.tan(np.radians(np.clip(elevation, -89.9, 89.9)))[:, None]))


def photo_of_scene(heading, field_of_view, width=640, height=480) -> np.ndarray:
    """A pinhole picture whose centre column looks to the heading, worked out ray by ray."""
    focal = width / 2 / np.tan(np.radians(field_of_view) / 2)
    right = (np.arange(width) + 0.5 - width / 2)[None] / focal
    up = (height / 2 - np.arange(height) - 0.5)[:, None] / focal
    # The ray (right, up, ahead 1) leaves the axis by atan(right) and rises by up over the ground distance.
    return to_bytes(scene(heading + np.degrees(np.arctan2(right, 1.0)), up / np.hypot(right, 1.0)))


def to_bytes(colours) -> np.ndarray:
    return np.clip(colours + 0.5, 0, 255).astype(np.uint8)
