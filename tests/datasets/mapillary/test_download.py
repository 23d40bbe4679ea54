"""Downloads from a server that behaves like Mapillary's API, failures included."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.datasets.mapillary.server import PHOTO, TOKEN, Mapillary, image
from tiercel.datasets.mapillary import Downloaded, download
from tiercel.datasets.mapillary.client import Patience
from tiercel.datasets.mapillary.listing import boxes, parse_box
from tiercel.errors import TiercelError

BOX = (13.361, 52.501, 13.379, 52.509)
QUICK = Patience(timeout=0.2, tries=4, first_wait=0.005, rate=2000.0)

Start = Callable[..., Mapillary]


def street(count: int) -> list[dict[str, Any]]:
    """Photos along a street from one end of the box to the other."""
    return [image(index, 13.3611 + 0.0177 * index / max(1, count), 52.5051) for index in range(count)]


@pytest.fixture
def start() -> Iterator[Start]:
    servers: list[Mapillary] = []

    def begin(images: list[dict[str, Any]], **options: Any) -> Mapillary:
        servers.append(Mapillary(images, **options))
        return servers[-1]

    yield begin
    for server in servers:
        server.shutdown()
        server.server_close()


def get(server: Mapillary, folder: Path, **options: Any) -> Downloaded:
    options = {"api": server.url, "patience": QUICK} | options
    return download(folder, options.pop("box", BOX), options.pop("token", TOKEN), **options)


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "photos.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def photos(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.jpg"))


def test_every_photo_comes_with_its_place_its_author_and_its_licence(start: Start, tmp_path: Path) -> None:
    server = start(street(12))
    steps: list[tuple[int, int]] = []
    result = get(server, tmp_path / "berlin", fetching=lambda done, total: steps.append((done, total)))
    assert (result.found, result.new, result.there, result.gone, result.failed) == (12, 12, 0, (), {})
    assert steps[0] == (0, 12) and steps[-1] == (12, 12)
    rows = {row["image"]: row for row in table(tmp_path / "berlin")}
    assert sorted(rows) == photos(tmp_path / "berlin") == [f"{1_000_000 + index}.jpg" for index in range(12)]
    assert (tmp_path / "berlin" / "1000003.jpg").read_bytes() == PHOTO
    row = rows["1000003.jpg"]
    longitude, latitude = server.images[3]["computed_geometry"]["coordinates"]
    assert (float(row["longitude"]), float(row["latitude"])) == (longitude, latitude)
    assert float(row["original_latitude"]) == server.images[3]["geometry"]["coordinates"][1]
    assert (row["heading"], row["original_heading"], row["sequence"]) == ("12.5", "10.0", "drive0")
    assert row["captured_at"] == "2020-09-13T12:26:43.000+00:00"
    assert (row["camera_type"], json.loads(row["camera_parameters"])) == ("perspective", [0.85, -0.1, 0.02])
    assert (row["creator"], row["licence"], row["is_pano"]) == ("walker0", "CC BY-SA 4.0", "False")
    assert row["attribution"] == "walker0 on Mapillary, CC BY-SA 4.0"
    assert row["link"] == "https://www.mapillary.com/app/?pKey=1000003"


def test_the_token_is_in_no_address_and_in_no_file(start: Start, tmp_path: Path) -> None:
    server = start(street(3))
    get(server, tmp_path)
    assert not any("secret" in line for line in server.lines)
    assert not any(b"secret" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_second_run_asks_for_nothing(start: Start, tmp_path: Path) -> None:
    server = start(street(5))
    get(server, tmp_path)
    before = server.asked.total()
    again = get(server, tmp_path)
    assert (again.new, again.there, server.asked.total()) == (0, 5, before)


def test_a_wide_box_is_asked_for_in_hundredths_of_a_degree(start: Start, tmp_path: Path) -> None:
    cut = boxes((13.361, 52.501, 13.379, 52.509))
    assert cut == [(13.361, 52.501, 13.37, 52.509), (13.37, 52.501, 13.379, 52.509)]
    assert len(boxes((-0.015, -0.015, 0.015, 0.015))) == 16
    server = start(street(4))
    get(server, tmp_path)
    assert server.asked["/images"] == 2


def test_pages_are_followed(start: Start, tmp_path: Path) -> None:
    server = start(street(23), page=5, paging=True)
    assert get(server, tmp_path).new == 23
    assert server.asked["/images"] == 6


@pytest.mark.parametrize("fails", [False, True], ids=["cut at the limit", "500 where too much is asked for"])
def test_a_box_that_is_too_full_is_split_until_it_is_not(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    monkeypatch.setattr("tiercel.datasets.mapillary.listing.LIMIT", 5)
    server = start(street(40), page=5)
    server.trouble.full_fails = fails
    assert get(server, tmp_path).new == 40
    asked = server.asked["/images"]
    assert 10 < asked < 100
    assert get(server, tmp_path).there == 40 and server.asked["/images"] == asked


@pytest.mark.parametrize(
    "trouble", [[500, 503], [429], [-1], [-2, -2], [-3], [-4], [-5]],
    ids=["500", "429", "time-out", "reset", "cut off", "half", "garbled"],
)  # fmt: skip
@pytest.mark.parametrize("where", ["/images", "/photo/1000001"])
def test_passing_trouble_is_overcome(start: Start, tmp_path: Path, trouble: list[int], where: str) -> None:
    server = start(street(3))
    server.trouble.status[where] = [*trouble]
    assert get(server, tmp_path).new == 3
    assert (tmp_path / "1000001.jpg").read_bytes() == PHOTO and not list(tmp_path.glob(".*"))


def test_an_expired_address_is_asked_for_anew(start: Start, tmp_path: Path) -> None:
    server = start(street(4))
    server.trouble.expired = {"1000000", "1000002"}
    assert get(server, tmp_path).new == 4
    assert server.asked["/1000000"] == 1 and server.asked["/1000001"] == 0


def test_what_is_gone_and_what_is_refused_is_counted_and_the_rest_comes(start: Start, tmp_path: Path) -> None:
    server = start(street(6))
    server.trouble.gone, server.trouble.refuse_new = {"1000001"}, {"1000004"}
    server.trouble.status["/photo/1000005"] = [500] * 99
    result = get(server, tmp_path)
    assert (result.new, result.gone) == (3, ("1000001",))
    assert sorted(result.failed) == ["1000004", "1000005"]
    assert "refused even at its new address" in result.failed["1000004"]
    assert "failed 4 times (500 busy)" in result.failed["1000005"]
    assert len(table(tmp_path)) == len(photos(tmp_path)) == 3
    server.trouble = type(server.trouble)()
    assert get(server, tmp_path).new == 3


def test_an_interrupted_run_goes_on_where_it_stopped(start: Start, tmp_path: Path) -> None:
    server = start(street(30))

    def stop(done: int, total: int) -> None:
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(server, tmp_path, fetching=stop)
    there = photos(tmp_path)
    assert 10 <= len(there) < 30 and [row["image"] for row in table(tmp_path)] == there
    assert not list(tmp_path.glob(".*"))
    with (tmp_path / "listing.jsonl").open("a") as file:
        file.write('{"box": [13.3')  # the power failed
    result = get(server, tmp_path)
    assert (result.there, result.new) == (len(there), 30 - len(there))
    assert server.asked["/images"] == 2
    assert all((tmp_path / name).read_bytes() == PHOTO for name in photos(tmp_path))


def test_a_server_that_is_down_stops_the_run_early(start: Start, tmp_path: Path) -> None:
    server = start(street(60))
    server.trouble.status["/photo"] = [503] * 9999
    with pytest.raises(TiercelError, match=r"8 photos in a row failed.*503 busy"):
        get(server, tmp_path, patience=Patience(0.5, 2, 0.001, 5000.0))
    assert table(tmp_path) == [] and server.asked.total() < 60


def test_panoramas_alone_and_not_too_many(start: Start, tmp_path: Path) -> None:
    pictures = street(40)
    for index in range(0, 40, 2):
        pictures[index] |= {"is_pano": True, "camera_type": "spherical"}
    server = start(pictures)
    result = get(server, tmp_path, kind="panorama", limit=5)
    assert result.new == 5
    numbers = sorted(int(row["image"][:-4]) - 1_000_000 for row in table(tmp_path))
    assert all(number % 2 == 0 for number in numbers) and numbers[-1] - numbers[0] > 25
    assert get(server, tmp_path, kind="panorama", limit=5).new == 0


def test_entries_that_are_no_photos_are_passed_over(start: Start, tmp_path: Path) -> None:
    odd = image(1, 13.365, 52.505, computed_geometry=None, creator=None, captured_at=None, camera_parameters=None)
    server = start([odd, image(2, 13.365, 52.505) | {"id": "../../etc"}])
    assert get(server, tmp_path).new == 2
    assert photos(tmp_path) == ["1000001.jpg", "______etc.jpg"] and not list(tmp_path.parent.glob("etc*"))
    assert table(tmp_path)[0]["attribution"] == "a contributor on Mapillary, CC BY-SA 4.0"
    assert table(tmp_path)[0]["captured_at"] == table(tmp_path)[0]["camera_parameters"] == ""


@pytest.mark.parametrize("token", ["wrong", "MLY|1234|other"])
def test_a_bad_token_is_one_sentence_that_does_not_show_it(start: Start, tmp_path: Path, token: str) -> None:
    server = start(street(1))
    with pytest.raises(TiercelError, match=r"refuses the token \(401: Invalid OAuth .*\): make one at") as caught:
        get(server, tmp_path, token=token)
    assert token not in str(caught.value) and server.asked["/images"] == 1


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak"])
def test_no_token(tmp_path: Path, token: str) -> None:
    with pytest.raises(TiercelError, match="There is no usable Mapillary token"):
        download(tmp_path, BOX, token)


def test_no_photos_there(start: Start, tmp_path: Path) -> None:
    with pytest.raises(TiercelError, match=r"Mapillary has no photos in 13.361,52.501"):
        get(start([]), tmp_path)
    with pytest.raises(TiercelError, match=r"Mapillary has no panorama photos in"):
        get(start(street(2)), tmp_path / "other", kind="panorama")


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TiercelError, match=r"The API at http://127.0.0.1:9 failed 4 times .*run the same command"):
        download(tmp_path, BOX, TOKEN, api="http://127.0.0.1:9", patience=QUICK)
    with pytest.raises(TiercelError, match="is no address of a server"):
        download(tmp_path, BOX, TOKEN, api="graph.example.org")


def test_a_server_that_is_another(start: Start, tmp_path: Path) -> None:
    server = start([])
    with pytest.raises(TiercelError, match=r"/v3 has no list of images \(400: Unsupported get request.*check --api"):
        get(server, tmp_path, api=f"{server.url}/v3")


def test_the_next_page_is_never_another_server(start: Start, tmp_path: Path) -> None:
    server = start(street(20), page=5, paging=True)
    server.next_page = "http://127.0.0.1:1"
    with pytest.raises(TiercelError, match=r"leads to 127\.0\.0\.1:1, another server"):
        get(server, tmp_path)


@pytest.mark.parametrize(
    "text",
    ["", "13.36,52.50,13.38", "a,b,c,d", "13.38,52.50,13.36,52.51", "13.36,52.51,13.38,52.50", "0,0,0,1", "nan,0,1,1"],
)
def test_no_box(text: str) -> None:
    with pytest.raises(TiercelError, match="is no box: give west,south,east,north"):
        parse_box(text)


def test_a_box_as_large_as_a_country_is_refused() -> None:
    assert parse_box("-77.05,38.88,-77.0,38.9") == (-77.05, 38.88, -77.0, 38.9)
    with pytest.raises(TiercelError, match=r"takes 1,000,000 requests .* smaller one"):
        boxes((0.0, 45.0, 10.0, 55.0))
