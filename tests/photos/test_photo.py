"""Photos: panoramas, overrides, and the sources of both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from tiercel.errors import TiercelError
from tiercel.photos import Photo, write_photo
from tiercel.photos.decode import BACKDROP


def _xmp(**properties: object) -> bytes:
    listed = " ".join(f'GPano:{name}="{value}"' for name, value in properties.items())
    return f'<rdf:Description xmlns:GPano="http://ns.google.com/photos/1.0/panorama/" {listed}/>'.encode()


def _save(path: Path, size: tuple[int, int], xmp: bytes | None = None) -> Path:
    image = Image.new("RGB", size, (200, 10, 10))
    image.save(path, **({"xmp": xmp} if xmp else {}))
    return path


def test_gpano_declares_a_panorama_and_its_heading(tmp_path: Path) -> None:
    xmp = _xmp(ProjectionType="equirectangular", PoseHeadingDegrees=370.5)
    photo = Photo.open(_save(tmp_path / "pano.jpg", (200, 100), xmp))
    assert photo.panorama and photo.panorama_source == "XMP GPano"
    assert (photo.field_of_view.value, photo.field_of_view.source) == (360, "XMP GPano")
    assert photo.heading is not None and photo.heading.value == pytest.approx(10.5)
    assert photo.heading.source == "XMP GPano PoseHeadingDegrees"


def test_gpano_as_elements_in_a_png_and_in_a_webp(tmp_path: Path) -> None:
    xmp = "<GPano:ProjectionType> equirectangular </GPano:ProjectionType><GPano:PoseHeadingDegrees>5</GPano:x>"
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp)
    Image.new("RGB", (50, 25)).save(tmp_path / "a.png", pnginfo=info)
    Image.new("RGB", (50, 25)).save(tmp_path / "a.webp", xmp=xmp.encode())
    for name in ("a.png", "a.webp"):
        photo = Photo.open(tmp_path / name)
        assert photo.panorama_source == "XMP GPano" and photo.heading is not None and photo.heading.value == 5


def test_cropped_panorama_is_padded_to_the_full_height_and_knows_its_view(tmp_path: Path) -> None:
    # A quarter of the circle, from 180 to 270 degrees right of the left edge, and the middle 90 of 180 degrees.
    xmp = _xmp(
        ProjectionType="equirectangular", PoseHeadingDegrees=100, FullPanoWidthPixels=800, FullPanoHeightPixels=400,
        CroppedAreaImageWidthPixels=200, CroppedAreaImageHeightPixels=200, CroppedAreaLeftPixels=400,
        CroppedAreaTopPixels=100,
    )  # fmt: skip
    photo = Photo.open(_save(tmp_path / "part.png", (100, 100), None), panorama=True, field_of_view=90)
    assert photo.field_of_view.value == 90 and photo.pixels.shape == (200, 100, 3)
    Image.new("RGB", (100, 100), (200, 10, 10)).save(tmp_path / "part.webp", xmp=xmp, lossless=True)
    photo = Photo.open(tmp_path / "part.webp")
    assert photo.panorama and photo.field_of_view.value == pytest.approx(90)
    assert photo.heading is not None and photo.heading.value == pytest.approx(100 + 45)
    assert photo.pixels.shape == (200, 100, 3)  # half the size of the original: 180 degrees in 200 rows
    assert (photo.pixels[:50] == BACKDROP).all() and (photo.pixels[150:] == BACKDROP).all()
    assert (photo.pixels[50:150] == (200, 10, 10)).all()
    assert photo.seen_rows == (50, 150)


@pytest.mark.parametrize(
    "wrong", [{"FullPanoWidthPixels": 50}, {"CroppedAreaLeftPixels": -5}, {"FullPanoWidthPixels": "x"}]
)
def test_impossible_crops_are_not_believed(tmp_path: Path, wrong: dict[str, object]) -> None:
    stated = {
        "ProjectionType": "equirectangular", "FullPanoWidthPixels": 200, "FullPanoHeightPixels": 100,
        "CroppedAreaImageWidthPixels": 200, "CroppedAreaImageHeightPixels": 100, "CroppedAreaLeftPixels": 0,
        "CroppedAreaTopPixels": 0,
    }  # fmt: skip
    photo = Photo.open(_save(tmp_path / "pano.jpg", (200, 100), _xmp(**stated | wrong)))
    assert photo.panorama and photo.field_of_view.value == 360 and photo.pixels.shape == (100, 200, 3)


def test_other_projections_are_no_equirectangular_panoramas(tmp_path: Path) -> None:
    photo = Photo.open(_save(tmp_path / "a.jpg", (300, 100), _xmp(ProjectionType="cylindrical")))
    assert not photo.panorama and photo.field_of_view.source == "assumed"


def test_two_to_one_is_a_panorama_unless_the_lens_says_otherwise(tmp_path: Path) -> None:
    photo = Photo.open(_save(tmp_path / "pano.jpg", (200, 100)))
    assert photo.panorama and photo.panorama_source == "2:1 shape" and photo.heading is None
    assert not Photo.open(_save(tmp_path / "near.jpg", (201, 100))).panorama
    write_photo(tmp_path / "phone.jpg", np.zeros((100, 200, 3), np.uint8), field_of_view=65)
    phone = Photo.open(tmp_path / "phone.jpg")
    assert not phone.panorama and phone.field_of_view.value == pytest.approx(65, abs=1e-3)


def test_everything_can_be_overridden(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    write_photo(path, np.zeros((60, 80, 3), np.uint8), heading=10, field_of_view=50)
    photo = Photo.open(path, heading=-90, field_of_view=80)
    assert photo.heading is not None and (photo.heading.value, photo.heading.source) == (270, "given")
    assert (photo.field_of_view.value, photo.field_of_view.source) == (80, "given")
    flat = Photo.open(_save(tmp_path / "pano.jpg", (200, 100)), panorama=False)
    assert not flat.panorama and flat.panorama_source == "given" and flat.field_of_view.source == "assumed"
    xmp = _xmp(ProjectionType="equirectangular", PoseHeadingDegrees=10)
    turned = Photo.open(_save(tmp_path / "turned.jpg", (200, 100), xmp), heading=200)
    assert turned.heading is not None and (turned.heading.value, turned.heading.source) == (200, "given")


def test_a_panorama_without_sky_and_ground_is_padded(tmp_path: Path) -> None:
    photo = Photo.open(_save(tmp_path / "strip.png", (400, 100)), panorama=True)
    assert photo.field_of_view.value == 360 and photo.pixels.shape == (200, 400, 3)
    assert (photo.pixels[:50] == BACKDROP).all() and (photo.pixels[50:150, :, 0] == 200).all()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"panorama": True}, "too tall for a panorama of 360 degrees"),
        ({"field_of_view": 0}, "0 degrees cannot be"),
        ({"field_of_view": float("nan")}, "cannot be"),
        ({"field_of_view": 300}, "cannot see 300 degrees through a flat lens"),
        ({"heading": float("inf")}, "is no direction"),
    ],
)
def test_overrides_that_cannot_be(tmp_path: Path, overrides: dict[str, float], message: str) -> None:
    with pytest.raises(TiercelError, match=message):
        Photo.open(_save(tmp_path / "a.jpg", (80, 60)), **overrides)


def test_from_array(tmp_path: Path) -> None:
    pixels = np.zeros((64, 128, 3), np.uint8)
    photo = Photo.from_array(pixels, panorama=True, field_of_view=360, heading=-10, name="view 3")
    assert photo.pixels is pixels and photo.name == "view 3" and photo.path is None
    assert photo.heading is not None and photo.heading.value == 350
    assert photo.original_size == (128, 64)
    with pytest.raises(TiercelError, match=r"\(64, 128\) uint8"):
        Photo.from_array(pixels[..., 0], panorama=False, field_of_view=70)
    with pytest.raises(TiercelError, match="flat lens"):
        Photo.from_array(pixels, panorama=False, field_of_view=180)


def test_without_pixels_the_header_tells_the_same(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    place = {"latitude": 48.5, "longitude": -2.25, "heading": 77.0}
    write_photo(tmp_path / "view.jpg", pixels, field_of_view=61.0, **place)
    write_photo(tmp_path / "pano.jpg", pixels[:40], panorama=True, **place)
    _save(tmp_path / "strip.jpg", (400, 60))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", exif=exif)
    for name, more in (("view", {}), ("pano", {}), ("strip", {"panorama": True}), ("turned", {})):
        whole = Photo.open(tmp_path / f"{name}.jpg", **more)
        header = Photo.open(tmp_path / f"{name}.jpg", **more, pixels=False)
        for what in ("name", "seen_rows", "panorama", "field_of_view", "heading", "position", "original_size"):
            assert getattr(whole, what) == getattr(header, what), (name, what)
        assert whole.pixels.shape == header.pixels.shape and (header.pixels == BACKDROP).all()


def test_without_pixels_a_cut_off_photo_passes_and_another_file_does_not(tmp_path: Path) -> None:
    write_photo(tmp_path / "a.jpg", np.zeros((300, 400, 3), np.uint8), heading=3.0)
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:-500])
    photo = Photo.open(tmp_path / "a.jpg", pixels=False)
    assert photo.heading is not None and photo.heading.value == 3
    with pytest.raises(TiercelError, match="damaged or cut off"):
        Photo.open(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_text("no photo")
    with pytest.raises(TiercelError, match="is not a JPEG"):
        Photo.open(tmp_path / "b.jpg", pixels=False)
