import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from tests.maps.pattern import FRAME, GROUND, truth, web_tiles
from tiercel import __version__
from tiercel.errors import TiercelError
from tiercel.geo import Square
from tiercel.maps import open_map
from tiercel.maps import url as url_module

TILES = {(zoom, x, y): data for zoom, x, y, data in web_tiles(range(14, 19))}


class Server(ThreadingHTTPServer):
    """A tile server on this machine that misbehaves as told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: Counter[tuple[int, int, int]] = Counter()
        self.agents: set[str] = set()
        self.harm = ""
        #: How often each tile is harmed before it comes right.
        self.times = 10**9
        self.delay = 0.0
        self.together = self.most_together = 0
        self.lock = threading.Lock()

    def handle_error(self, *_: object) -> None:
        """A client that gave up waiting is part of the tests."""

    def url(self, fragment: str = "", row: str = "{y}") -> str:
        return f"http://127.0.0.1:{self.server_port}/{{z}}/{{x}}/{row}.png{fragment}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        zoom, x, y = (int(part) for part in self.path.removesuffix(".png").strip("/").split("/"))
        with self.server.lock:
            self.server.asked[zoom, x, y] += 1
            self.server.agents.add(self.headers["User-Agent"])
            self.server.together += 1
            self.server.most_together = max(self.server.most_together, self.server.together)
        try:
            self.answer(TILES.get((zoom, x, y)), self.server.asked[zoom, x, y] <= self.server.times)
        finally:
            with self.server.lock:
                self.server.together -= 1

    def answer(self, data: bytes | None, harmed: bool) -> None:
        threading.Event().wait(self.server.delay)
        harm = self.server.harm if harmed else ""
        if data is None or harm.isdecimal():
            self.send_error(int(harm) if harm else 404)
            return
        if harm == "slow":
            threading.Event().wait(0.6)
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if harm == "text":
            data = b"<html>over quota</html>".ljust(len(data))
        self.wfile.write(data[: len(data) // 2] if harm == "cut" else data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(url_module, "_BACK_OFF_SECONDS", (0.0, 0.01, 0.01))
    monkeypatch.setattr(url_module, "_TIMEOUT_SECONDS", 0.3)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def area(square: Square = GROUND) -> str:
    latitude, longitude = FRAME.to_wgs84([square.west, square.east], [square.south, square.north])
    return f"#area={latitude[0]},{longitude[0]},{latitude[1]},{longitude[1]}"


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_shows_the_ground_and_finds_the_finest_zoom(server: Server, tmp_path: Path) -> None:
    server.delay = 0.02
    with open_map(server.url(area()), cache=tmp_path) as basemap:
        assert basemap.frame == FRAME and basemap.name == "127.0.0.1"
        assert basemap.resolution == pytest.approx(0.41, abs=0.01)
        assert basemap.bounds == pytest.approx(GROUND.bounds, abs=5)
        square = GROUND.expanded(-5.0)
        rgb, covered = basemap.read(square, 230)
    assert covered.all() and np.abs(rgb - truth(square, 230)).max() <= 4
    assert all(agent.startswith(f"tiercel/{__version__}") for agent in server.agents)
    assert 1 < server.most_together <= 4


def test_fetched_tiles_are_kept(server: Server, tmp_path: Path) -> None:
    for _ in range(2):
        with open_map(server.url(area() + "&zoom=16-18"), cache=tmp_path) as basemap:
            first, _ = basemap.read(GROUND, 100)
    assert set(server.asked.values()) == {1}
    server.shutdown()
    with open_map(server.url(area() + "&zoom=16-18"), cache=tmp_path) as basemap:
        assert np.array_equal(basemap.read(GROUND, 100)[0], first)


def test_rows_from_the_south(server: Server, tmp_path: Path) -> None:
    south_up = {(zoom, x, 2**zoom - 1 - y): data for (zoom, x, y), data in TILES.items()}
    TILES.update(south_up)
    try:
        with open_map(server.url(area(), "{-y}"), cache=tmp_path) as basemap:
            rgb, _ = basemap.read(GROUND.expanded(-5.0), 100)
    finally:
        for key in south_up:
            del TILES[key]
    assert np.abs(rgb - truth(GROUND.expanded(-5.0), 100)).max() <= 4


def test_missing_tile_is_not_covered_and_remembered(server: Server, tmp_path: Path) -> None:
    gone = max(key for key in TILES if key[0] == 18)
    data = TILES.pop(gone)
    try:
        for _ in range(2):
            with open_map(server.url(area() + "&zoom=17-18"), cache=tmp_path) as basemap:
                _, covered = basemap.read(GROUND, 480)
    finally:
        TILES[gone] = data
    assert 0.5 < covered.mean() < 1 and server.asked[gone] == 1


@pytest.mark.parametrize("harm", ["500", "503", "429", "cut", "text", "slow"])
def test_passing_trouble_is_overcome(harm: str, server: Server, tmp_path: Path) -> None:
    server.harm, server.times = harm, 2
    square = Square(GROUND.x, GROUND.y, 60.0)
    with open_map(server.url(area(square) + "&zoom=18-18"), cache=tmp_path) as basemap:
        rgb, covered = basemap.read(square.expanded(-3), 54)
    assert covered.all() and np.abs(rgb - truth(square.expanded(-3), 54)).max() <= 4
    assert set(server.asked.values()) == {3}


@pytest.mark.parametrize("harm", ["500", "cut", "text", "slow"])
def test_lasting_trouble_is_an_error_and_never_black(harm: str, server: Server, tmp_path: Path) -> None:
    square = Square(GROUND.x, GROUND.y, 60.0)
    with open_map(server.url(area(square) + "&zoom=17-18"), cache=tmp_path) as basemap:
        kept = len(files(tmp_path))
        server.harm = harm
        with pytest.raises(TiercelError, match=r"/17/\d+/\d+\.png failed 4 times .*try again later"):
            basemap.read(square, 60)
        assert len(files(tmp_path)) == kept, "nothing of a failed tile may stay"
        server.harm = ""
        assert basemap.read(square, 60)[1][2:-2, 2:-2].all(), "and the map must not be spoilt by it"


def test_refusal_is_not_asked_again(server: Server, tmp_path: Path) -> None:
    server.harm = "403"
    with pytest.raises(TiercelError, match=r"was refused \(403"):
        open_map(server.url(area() + "&zoom=18-18"), cache=tmp_path)
    assert max(server.asked.values()) == 1


def test_no_server(server: Server, tmp_path: Path) -> None:
    url = server.url(area())
    server.shutdown()
    server.server_close()
    with pytest.raises(TiercelError, match=r"failed 4 times .*refused"):
        open_map(url, cache=tmp_path)


def test_nothing_there(server: Server, tmp_path: Path) -> None:
    with pytest.raises(TiercelError, match="and all finer tiles are missing"):
        open_map(server.url("#area=10,10,10.1,10.1"), cache=tmp_path)


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        ("http://example.org/{z}/{x}.png#area=1,1,2,2", "does not name tiles"),
        ("http://example.org/{s}/{z}/{x}/{y}.png#area=1,1,2,2", "does not name tiles"),
        ("http://example.org/{z}/{x}/{y}.png", "which ground"),
        ("http://example.org/{z}/{x}/{y}.png#area=2,1,1,2", "which ground"),
        ("http://example.org/{z}/{x}/{y}.png#area=1,1,2", "which ground"),
        ("http://example.org/{z}/{x}/{y}.png#area=1,1,2,2&zoom=18", "names no zooms"),
    ],
)
def test_bad_template(bad: str, complaint: str) -> None:
    with pytest.raises(TiercelError, match=complaint):
        open_map(bad)


def test_fingerprint_is_of_the_template_and_area(server: Server, tmp_path: Path) -> None:
    zooms = "&zoom=17-18"
    one, two = (server.url(area(GROUND.expanded(-margin)) + zooms) for margin in (0.0, 30.0))
    with open_map(one, cache=tmp_path) as a, open_map(one, cache=tmp_path) as b, open_map(two, cache=tmp_path) as c:
        assert a.fingerprint() == b.fingerprint() != c.fingerprint()
