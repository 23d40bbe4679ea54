"""Every file a user may pass: upright RGB pixels, or one sentence that says what to do."""

from __future__ import annotations

import struct
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tiercel.errors import TiercelError
from tiercel.photos import Photo
from tiercel.photos.decode import BACKDROP, LONG_SIDE


def _scene(width: int = 120, height: int = 80) -> np.ndarray:
    """A picture whose four corners differ, smooth enough for JPEG."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([255 * x / width, 255 * y / height, 128 + 0 * x], -1).astype(np.uint8)


def _save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def _png(path: Path, width: int, height: int, depth: int, colour: int, raw: bytes) -> Path:
    """A PNG written by hand, for headers that no writer would make."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_are_upright_in_every_format_and_orientation(tmp_path: Path, suffix: str, orientation: int) -> None:
    upright = Image.fromarray(_scene())
    undo = {
        1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]  # fmt: skip
    stored = upright if undo is None else upright.transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 98} if suffix in (".jpg", ".webp") else {}
    photo = Photo.open(_save(tmp_path / f"a{suffix}", stored, exif=exif, **options))
    assert photo.original_size == (120, 80)
    assert photo.pixels.shape == (80, 120, 3) and photo.pixels.dtype == np.uint8
    assert np.abs(photo.pixels.astype(int) - _scene()).mean() < 6


def test_grey_palette_and_bilevel_become_rgb(tmp_path: Path) -> None:
    grey = Image.fromarray(_scene()[..., 0])
    expected = np.repeat(_scene()[..., :1], 3, axis=2)
    assert np.array_equal(Photo.open(_save(tmp_path / "grey.png", grey)).pixels, expected)
    palette = Image.fromarray(_scene()).quantize(64)
    opened = Photo.open(_save(tmp_path / "palette.png", palette)).pixels
    assert np.array_equal(opened, np.asarray(palette.convert("RGB")))
    bilevel = Photo.open(_save(tmp_path / "bilevel.png", grey.point(lambda v: 255 * (v > 99)).convert("1"))).pixels
    assert set(np.unique(bilevel)) == {0, 255}


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_grey_is_scaled_by_its_full_range(tmp_path: Path, suffix: str) -> None:
    ramp = np.tile(np.linspace(0, 65535, 120).astype(np.uint16), (80, 1))
    pixels = Photo.open(_save(tmp_path / f"deep{suffix}", Image.fromarray(ramp))).pixels
    assert np.abs(pixels[0, :, 0] - ramp[0] / 257).max() <= 0.51
    assert (pixels[..., 0] == pixels[..., 2]).all()


def test_sixteen_bit_colour(tmp_path: Path) -> None:
    deep = (_scene(12, 8).astype(np.uint16) * 257).astype(">u2")
    raw = b"".join(b"\0" + row.tobytes() for row in deep)
    pixels = Photo.open(_png(tmp_path / "deep.png", 12, 8, 16, 2, raw)).pixels
    assert np.array_equal(pixels, _scene(12, 8))


def test_cmyk_jpeg(tmp_path: Path) -> None:
    photo = Photo.open(_save(tmp_path / "ink.jpg", Image.fromarray(_scene()).convert("CMYK"), quality=98))
    assert np.abs(photo.pixels.astype(int) - _scene()).mean() < 4


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparent_pixels_lie_over_mid_grey(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGBA", (20, 10), (255, 255, 255, 255))
    image.paste((255, 255, 255, 0), (0, 0, 10, 10))
    name = "clear.tif" if mode == "PA" else "clear.png"
    stored = image.convert("LA" if mode == "LA" else "RGBA")
    if mode == "PA":
        stored, name = image.quantize(4), "clear.png"
    pixels = Photo.open(_save(tmp_path / name, stored)).pixels
    assert (pixels[:, :9] == BACKDROP).all() and (pixels[:, 11:] == 255).all()


def test_large_photos_are_kept_at_4096_pixels_and_remember_their_size(tmp_path: Path) -> None:
    large = Image.fromarray(_scene()).resize((9000, 3000))
    photo = Photo.open(_save(tmp_path / "large.jpg", large))
    assert photo.original_size == (9000, 3000)
    assert photo.pixels.shape == (round(3000 * LONG_SIDE / 9000), LONG_SIDE, 3)
    small = np.asarray(Image.fromarray(photo.pixels).resize((120, 80)))
    assert np.abs(small.astype(int) - _scene()).mean() < 4
    assert np.array_equal(Photo.open(tmp_path / "large.jpg").pixels, photo.pixels)


def test_a_phone_picture_with_a_second_one_inside(tmp_path: Path) -> None:
    first, second = Image.fromarray(_scene()), Image.new("RGB", (30, 20))
    path = _save(tmp_path / "phone.jpg", first, format="MPO", save_all=True, append_images=[second], quality=98)
    assert np.abs(Photo.open(path).pixels.astype(int) - _scene()).mean() < 4


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("text.jpg", b"not an image, just words\n" * 40, "is not a JPEG, PNG, WebP or TIFF image .*convert it to JPEG"),
        ("empty.jpg", b"", "is empty.*copy it again"),
        ("page.png", b"<html><body>404</body></html>", "is not a JPEG"),
    ],
)
def test_files_that_are_no_images(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TiercelError, match=f"{name} {message}"):
        Photo.open(tmp_path / name)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_cut_off_files_are_refused_not_half_shown(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    whole = _save(tmp_path / f"whole{suffix}", Image.fromarray(noise)).read_bytes()
    path = tmp_path / f"cut{suffix}"
    for share in (0.05, 0.4, 0.8):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(TiercelError, match=r"cut\.\w+ .*(copy it again|convert it)"):
            Photo.open(path)


def test_damaged_inside(tmp_path: Path) -> None:
    data = bytearray(_save(tmp_path / "a.png", Image.fromarray(_scene())).read_bytes())
    data[60:90] = bytes(30)
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(TiercelError, match=r"a\.png is damaged.*copy it again"):
        Photo.open(tmp_path / "a.png")


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(TiercelError, match=r"There is no photo .*gone\.jpg: check the path"):
        Photo.open(tmp_path / "gone.jpg")
    with pytest.raises(TiercelError, match="is a folder, not a photo: name the files in it"):
        Photo.open(tmp_path)


def test_over_200_megapixels_is_refused_before_decoding_and_without_pillows_warning(tmp_path: Path) -> None:
    path = _png(tmp_path / "huge.png", 40_000, 40_000, 8, 2, b"")  # nothing to decode: the header alone decides
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(TiercelError, match=r"40000 x 40000 pixels, 1600 megapixels, and 200 is the limit: shrink"):
            Photo.open(path)


def test_up_to_200_megapixels_is_no_bomb(tmp_path: Path) -> None:
    # Pillow warns of an attack above 89 megapixels and refuses above 179; this one has 190.
    pillows_own = Image.MAX_IMAGE_PIXELS
    path = _save(tmp_path / "poster.png", Image.new("1", (19_000, 10_000)), compress_level=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        photo = Photo.open(path)
    assert photo.original_size == (19_000, 10_000) and photo.pixels.shape[1] == LONG_SIDE
    assert pillows_own == Image.MAX_IMAGE_PIXELS


def test_no_pixels(tmp_path: Path) -> None:
    with pytest.raises(TiercelError, match=r"flat\.png is not .* that can be read"):
        Photo.open(_png(tmp_path / "flat.png", 0, 10, 8, 2, b""))


def test_float_images_are_refused(tmp_path: Path) -> None:
    path = _save(tmp_path / "depth.tif", Image.fromarray(np.zeros((4, 6), np.float32)))
    with pytest.raises(TiercelError, match=r"32-bit floats.*convert it to 8 or 16 bits"):
        Photo.open(path)


def test_a_broken_exif_block_costs_the_metadata_not_the_photo(tmp_path: Path) -> None:
    buffer = BytesIO()
    Image.fromarray(_scene()).save(buffer, "JPEG", exif=b"Exif\0\0MM\0*\0\0\xff\xff garbage")
    (tmp_path / "a.jpg").write_bytes(buffer.getvalue())
    photo = Photo.open(tmp_path / "a.jpg")
    assert photo.field_of_view.source == "assumed" and photo.position is None


def test_any_damage_gives_a_photo_or_a_sentence(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"
    whole = []
    for suffix in (".jpg", ".png", ".webp", ".tif"):
        path = _save(tmp_path / f"a{suffix}", Image.fromarray(_scene(64, 32)), exif=exif.tobytes())
        whole.append(path.read_bytes())
    refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's about broken metadata
        for index in range(160):
            data = bytearray(whole[index % 4])
            for place in rng.integers(4, min(len(data), 600), int(rng.integers(1, 10))):
                data[place] = rng.integers(256)
            (tmp_path / "b.bin").write_bytes(data)
            try:
                assert Photo.open(tmp_path / "b.bin").pixels.dtype == np.uint8
            except TiercelError as error:
                refused += 1
                assert str(error).startswith(str(tmp_path / "b.bin")) and ": " in str(error)
    assert 20 < refused < 140
