"""Photos of a folder, or the rows of a table; a bad row does not stop the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.datasets.curation.town import walk
from tiercel.datasets.curation.distortion import Lens
from tiercel.datasets.curation.sources import list_photos, moment
from tiercel.errors import TiercelError


def table(folder: Path, *lines: str, name: str = "log.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_folder_is_searched_with_all_folders_in_it(tmp_path: Path) -> None:
    walk(tmp_path / "photos" / "monday", 2)
    (tmp_path / "photos" / "tuesday").mkdir()
    for name in ("tuesday/B.JPG", "notes.txt", ".hidden.jpg", ".cache/x.jpg"):
        (tmp_path / "photos" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(b"")
    listed = list_photos(tmp_path / "photos", None)
    assert [one.name for one in listed] == ["monday/0000.jpg", "monday/0001.jpg", "tuesday/B.JPG"]


def test_a_table_says_more(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "image,latitude,longitude,heading,field_of_view,captured_at,sequence,is_pano,licence,attribution,link",
        "a.jpg,52.5,13.4,90,70,2024-05-01T12:00:00Z,s1,False,CC0,Ada,https://example.org/a",
        "b.jpg,52.6,13.5,,,,,True,,,",
    )
    one, two = list_photos(None, path)
    assert (one.file, one.latitude, one.longitude, one.heading) == (tmp_path / "a.jpg", 52.5, 13.4, 90.0)
    assert (one.field_of_view, one.captured_at, one.sequence, one.panorama) == (70.0, 1714564800.0, "s1", False)
    assert (one.licence, one.attribution, one.link) == ("CC0", "Ada", "https://example.org/a")
    assert (two.heading, two.captured_at, two.panorama, two.lens, two.trouble) == (None, None, True, None, "")


def test_a_table_among_the_photos_is_found(tmp_path: Path) -> None:
    walk(tmp_path, 2)
    table(tmp_path, "file,lat,lng", "0001.jpg,1,2", name="photos.csv")
    assert [(one.name, one.latitude) for one in list_photos(tmp_path, None)] == [("0001.jpg", 1.0)]


def test_calibrations(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "image,latitude,longitude,camera_type,camera_parameters,fx,fy,cx,cy,k1,k2,p1,p2,k3,calibration_width,calibration_height",
        'a.jpg,1,2,perspective,"[0.85, -0.1, 0.02]"' + "," * 11,
        'b.jpg,1,2,fisheye,"[0.5, -0.03, 0]"' + "," * 11,
        'c.jpg,1,2,spherical,"[1, 0, 0]"' + "," * 11,
        "d.jpg,1,2,,,800,810,510,380,-0.2,0.05,0.001,-0.002,0.01,1000,750",
        "e.jpg,1,2,,,800,,,,,,,,,,",
        'f.jpg,1,2,perspective,"0.85 -0.1"' + "," * 11,
    )
    lenses = [one.lens for one in list_photos(None, path)]
    assert lenses[0] == Lens("perspective", (0.85, 0.85), radial=(-0.1, 0.02, 0.0))
    assert lenses[1] == Lens("fisheye", (0.5, 0.5), radial=(-0.03, 0.0, 0.0))
    assert lenses[2] is None
    assert lenses[3] == Lens("brown", (0.8, 0.81), (0.01, 0.005), (-0.2, 0.05, 0.01), (0.001, -0.002))
    troubles = [one.trouble for one in list_photos(None, path)]
    assert "line 6: fx comes without calibration_width" in troubles[4]
    assert "line 7: camera_parameters is '0.85 -0.1', not a list such as" in troubles[5]


def test_bad_rows_are_kept_with_what_is_wrong(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "image,latitude,longitude",
        *("a.jpg,north,13", "b.jpg,1,2", ",1,2", "c.jpg,95,2", "d.jpg,nan,2", "e.jpg,1"),
    )
    troubles = [one.trouble for one in list_photos(None, path)]
    assert troubles[0] == f"{path}, line 2: latitude is 'north', not a number from -90 to 90."
    assert troubles[1] == "" and troubles[5] == ""
    assert troubles[2].endswith("line 4: it names no image.")
    assert "line 5: latitude is '95'" in troubles[3] and "line 6: latitude is 'nan'" in troubles[4]


def test_what_stops_everything(tmp_path: Path) -> None:
    with pytest.raises(TiercelError, match="There are no photos to choose from"):
        list_photos(None, None)
    with pytest.raises(TiercelError, match="is no folder"):
        list_photos(tmp_path / "none", None)
    with pytest.raises(TiercelError, match=r"holds no photos \(\.jpg"):
        list_photos(tmp_path, None)
    with pytest.raises(TiercelError, match=r"none.csv cannot be read \(No such file"):
        list_photos(None, tmp_path / "none.csv")
    with pytest.raises(TiercelError, match="has no column 'longitude'"):
        list_photos(None, table(tmp_path, "image,latitude", "a.jpg,1"))
    with pytest.raises(TiercelError, match="lists no photos"):
        list_photos(None, table(tmp_path, "image,latitude,longitude"))
    with pytest.raises(TiercelError, match=r"has no row that can be used; the first: .*line 2: latitude is 'x'"):
        list_photos(None, table(tmp_path, "image,latitude,longitude", "a.jpg,x,2", "b.jpg,y,2"))
    (tmp_path / "bytes.csv").write_bytes(b"image,latitude,longitude\n\xff\xfe.jpg,1,2\n")
    with pytest.raises(TiercelError, match="is no CSV file in UTF-8"):
        list_photos(None, tmp_path / "bytes.csv")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", None),
        ("1600000003000", 1600000003.0),
        ("1600000003.5", 1600000003.5),
        ("2020-09-13T12:26:43Z", 1600000003.0),
        ("2020-09-13T14:26:43+02:00", 1600000003.0),
        ("2020:09:13 12:26:43", 1600000003.0),
    ],
)
def test_moments(text: str, seconds: float | None) -> None:
    assert moment(text) == seconds


def test_no_moment() -> None:
    with pytest.raises(ValueError, match="yesterday"):
        moment("yesterday")
