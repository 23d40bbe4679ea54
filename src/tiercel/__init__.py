"""tiercel: where on this overhead map was this street photo taken?

Three lines from a photo to a coordinate::

    from tiercel import Locator
    fix = Locator.open("city.atlas").locate("photo.jpg")
    print(fix.latitude, fix.longitude, fix.radius_90_m)

Names are imported when they are first used, so ``import tiercel`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tiercel.errors import TiercelError

if TYPE_CHECKING:
    from tiercel.atlas import Atlas
    from tiercel.atlas.build import build as build_atlas
    from tiercel.fix import Fix
    from tiercel.locate import Locator
    from tiercel.maps import open_map
    from tiercel.models import load_model
    from tiercel.photos import Photo

__version__ = "0.1.0"

__all__ = ["Atlas", "Fix", "Locator", "Photo", "TiercelError", "__version__", "build_atlas", "load_model", "open_map"]

_HOMES = {
    "Atlas": ("tiercel.atlas", "Atlas"),
    "Fix": ("tiercel.fix", "Fix"),
    "Locator": ("tiercel.locate", "Locator"),
    "Photo": ("tiercel.photos", "Photo"),
    "build_atlas": ("tiercel.atlas", "build"),
    "load_model": ("tiercel.models", "load_model"),
    "open_map": ("tiercel.maps", "open_map"),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  (a module attribute may be anything)
    """Import a public name from its room on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'tiercel' has no attribute '{name}'")
    room, attribute = _HOMES[name]
    value = getattr(import_module(room), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return __all__
