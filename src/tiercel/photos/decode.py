"""From an image file to upright 8-bit RGB pixels, with one clear sentence for every file that cannot be one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin
from PIL.ExifTags import IFD

from tiercel.errors import TiercelError

MAX_PIXELS = 200_000_000
"""Largest image that is decoded."""

LONG_SIDE = 4096
"""Pixels are kept at most this long; no encoder looks at more, and 200 megapixels would fill 600 MB."""

BACKDROP = 127
"""Grey that stands for "nothing seen": behind transparent pixels and around cropped panoramas."""

_READERS = (
    JpegImagePlugin.JpegImageFile,  # and of phones' MPO files, JPEGs with a second picture inside
    PngImagePlugin.PngImageFile,
    WebPImagePlugin.WebPImageFile,
    TiffImagePlugin.TiffImageFile,
)
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112
_TIFF_XMP = 700


@dataclass(frozen=True, eq=False)
class Decoded:
    """An image file as read.

    Attributes:
        pixels: (height, width, 3) uint8 RGB, upright, at most `LONG_SIDE` long.
        original_size: (width, height) of the upright image in the file.
        gps: EXIF tags about the place, empty where there are none or they are broken.
        camera: EXIF tags about the exposure and the lens, likewise.
        xmp: The XMP packet, empty where there is none.
    """

    pixels: NDArray[np.uint8]
    original_size: tuple[int, int]
    gps: dict[int, Any]
    camera: dict[int, Any]
    xmp: bytes


def decode(path: Path, *, pixels: bool = True) -> Decoded:
    """Reads an image: upright, RGB, 8 bit, at most `LONG_SIDE` pixels long.

    16-bit grey is scaled by its full range, CMYK is converted without a colour profile, transparent pixels are laid
    over mid grey. JPEGs larger than needed are decoded at a half, a quarter or an eighth by libjpeg (exact, repeatable
    and several times faster), then resampled with a Lanczos filter.

    Args:
        path: JPEG, PNG, WebP or TIFF.
        pixels: Whether to read more than the header; without, all pixels are grey, in no memory of their own.

    Raises:
        TiercelError: The file is missing, a folder, empty, no image, damaged, or over `MAX_PIXELS`.
    """
    _check_file(path)
    with _no_pillow_limit(), _open(path) as image:
        size = image.size
        _check_size(path, size)
        target = _limited(size)
        try:
            image.draft("", target)
            if pixels:
                image.load()
            exif = _exif(image)
            gps, camera, xmp = _tags(exif, IFD.GPSInfo), _tags(exif, IFD.Exif), _xmp(image, exif)
            # Pillow turns TIFFs upright while loading and drops their orientation; other formats it leaves alone.
            orientation = exif.get(_ORIENTATION)
            if not pixels:
                return _unread(size, target, orientation, gps, camera, xmp)
            rgb = _over_grey(_shrunk(_eight_bit(path, image), target))
        except TiercelError:
            raise
        except Exception as error:  # decoders raise anything: OSError, SyntaxError, struct.error, zlib.error, ...
            raise TiercelError(f"{path} is damaged or cut off ({error}): copy it again from its source.") from error
    if orientation in _UPRIGHT:
        rgb = rgb.transpose(_UPRIGHT[orientation])
        size = size[::-1] if orientation >= 5 else size
    return Decoded(np.asarray(rgb), size, gps, camera, xmp)


def _unread(
    size: tuple[int, int], target: tuple[int, int], orientation: object, gps: dict[int, Any], camera: dict[int, Any],
    xmp: bytes,
) -> Decoded:  # fmt: skip
    """An image of which the header was read, its size turned upright."""
    turned = orientation in _UPRIGHT and isinstance(orientation, int) and orientation >= 5
    shape = (*(target if turned else target[::-1]), 3)
    grey = np.broadcast_to(np.uint8(BACKDROP), shape)
    return Decoded(grey, size[::-1] if turned else size, gps, camera, xmp)


def _check_file(path: Path) -> None:
    try:
        if path.is_dir():
            raise TiercelError(f"{path} is a folder, not a photo: name the files in it, such as {path / '*.jpg'}.")
        if path.stat().st_size == 0:
            raise TiercelError(f"{path} is empty (0 bytes): copy it again from its source.")
    except FileNotFoundError as error:
        raise TiercelError(f"There is no photo {path}: check the path.") from error
    except OSError as error:
        raise TiercelError(f"{path} cannot be read ({error.strerror}): check the path and its permissions.") from error


def _check_size(path: Path, size: tuple[int, int]) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise TiercelError(
            f"{path} has {width} x {height} pixels, {width * height / 1e6:.0f} megapixels, and "
            f"{MAX_PIXELS // 10**6} is the limit: shrink it to {LONG_SIDE} pixels a side or fewer."
        )


def _open(path: Path) -> Image.Image:
    try:
        return Image.open(path, formats=[reader.format for reader in _READERS])
    except UnidentifiedImageError as error:
        raise TiercelError(
            f"{path} is not a JPEG, PNG, WebP or TIFF image that can be read, whatever its name: convert it to JPEG."
        ) from error
    except PermissionError as error:
        raise TiercelError(f"{path} cannot be read ({error.strerror}): check its permissions.") from error
    except Exception as error:  # a header that is an image's and yet makes no sense
        raise TiercelError(f"{path} is damaged ({error}): copy it again from its source.") from error


_limit_lock = threading.Lock()
_limit_users = 0
_limit_before: int | None = None


@contextmanager
def _no_pillow_limit() -> Iterator[None]:
    """Lifts Pillow's own size limit, whose warnings speak of attacks, while ours is in force.

    The limit is a global of Pillow's: the first of several threads saves it and the last one puts it back.
    """
    global _limit_users, _limit_before
    with _limit_lock:
        if _limit_users == 0:
            _limit_before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        _limit_users += 1
    try:
        yield
    finally:
        with _limit_lock:
            _limit_users -= 1
            if _limit_users == 0:
                Image.MAX_IMAGE_PIXELS = _limit_before


def _limited(size: tuple[int, int]) -> tuple[int, int]:
    """The size with its long side cut to `LONG_SIDE`, in the same proportion."""
    width, height = size
    shrink = min(1.0, LONG_SIDE / max(width, height))
    return max(1, round(width * shrink)), max(1, round(height * shrink))


# Broken metadata costs the metadata, not the photo. Pillow reads it lazily and raises struct.error, SyntaxError,
# KeyError and more.


def _exif(image: Image.Image) -> Image.Exif:
    try:
        return image.getexif()
    except Exception:
        return Image.Exif()


def _tags(exif: Image.Exif, which: IFD) -> dict[int, Any]:
    try:
        return dict(exif.get_ifd(which))
    except Exception:
        return {}


def _xmp(image: Image.Image, exif: Image.Exif) -> bytes:
    xmp = image.info.get("xmp") or exif.get(_TIFF_XMP) or b""
    return xmp if isinstance(xmp, bytes) else str(xmp).encode("utf-8", "replace")


def _eight_bit(path: Path, image: Image.Image) -> Image.Image:
    """L, RGB or RGBA, whatever the mode."""
    if image.mode == "F":
        raise TiercelError(f"{path} holds 32-bit floats, whose range is anyone's guess: convert it to 8 or 16 bits.")
    if image.mode.startswith("I"):  # I;16 and its byte orders; I where Pillow widens 16 bits to 32
        values = np.asarray(image).astype(np.float32)
        return Image.fromarray((np.clip(values, 0, 65535) / 257 + 0.5).astype(np.uint8))
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _shrunk(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _over_grey(image: Image.Image) -> Image.Image:
    """RGB, with transparent pixels laid over the backdrop."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    backdrop = Image.new("RGBA", image.size, (BACKDROP, BACKDROP, BACKDROP, 255))
    return Image.alpha_composite(backdrop, image).convert("RGB")
