"""A server on this machine that behaves like Mapillary's API, with every trouble that a real one gives."""

from __future__ import annotations

import io
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
from PIL import Image

TOKEN = "MLY|1234|secret"
SIDE = 0.01


def jpeg(height: int, width: int) -> bytes:
    """A small photo."""
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


PHOTO = jpeg(48, 64)
PANORAMA = jpeg(48, 96)


def image(number: int, longitude: float, latitude: float, **more: Any) -> dict[str, Any]:
    """What the API knows about a photo."""
    return {
        "id": str(1_000_000 + number),
        "geometry": {"type": "Point", "coordinates": [longitude, latitude]},
        "computed_geometry": {"type": "Point", "coordinates": [longitude + 1e-5, latitude - 1e-5]},
        "captured_at": 1_600_000_000_000 + 1000 * number,
        "compass_angle": 10.0,
        "computed_compass_angle": 12.5,
        "camera_type": "perspective",
        "camera_parameters": [0.85, -0.1, 0.02],
        "is_pano": False,
        "sequence": f"drive{number // 10}",
        "height": 3024,
        "width": 4032,
        "creator": {"username": f"walker{number % 3}", "id": "7"},
        "make": "Example",
        "model": "One",
    } | more


@dataclass
class Trouble:
    """What goes wrong.

    Attributes:
        status: For paths that begin so: the statuses answered in turn before it comes right; -1 for no answer in
            time, -2 for a connection that is cut, -3 for half a body, -4 for half a body that claims to be whole, -5
            for words that are no JSON.
        retry_after: Header sent along with 429.
        expired: Ids whose first addresses are no longer valid.
        gone: Ids that are listed and do not exist.
        refuse_new: Ids that are refused at any address.
        full_fails: Whether boxes of more than `page` photos are answered with 500.
    """

    status: dict[str, list[int]] = field(default_factory=dict)
    retry_after: str = "0"
    expired: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    refuse_new: set[str] = field(default_factory=set)
    full_fails: bool = False


class Mapillary(ThreadingHTTPServer):
    """The API and its photos."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, images: list[dict[str, Any]], page: int = 2000, paging: bool = False) -> None:
        """Starts to listen.

        Args:
            images: What there is.
            page: Most photos of an answer.
            paging: Whether a full answer leads to the next page rather than ending there.
        """
        super().__init__(("127.0.0.1", 0), _Handler)
        self.images, self.page, self.paging = images, page, paging
        self.trouble = Trouble()
        self.next_page = self.url  # where answers say that the next page is
        self.asked: Counter[str] = Counter()
        self.times: list[float] = []
        self.lines: list[str] = []
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """A client that gave up waiting is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: Mapillary

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        with self.server.lock:
            self.server.asked[parts.path] += 1
            self.server.times.append(time.monotonic())
            self.server.lines.append(self.path)
            waiting = next((s for p, s in self.server.trouble.status.items() if parts.path.startswith(p) and s), None)
            status = waiting.pop(0) if waiting else 200
        if parts.path.startswith("/photo/"):
            self.photo(parts.path.removeprefix("/photo/"), query, status)
        elif self.headers["Authorization"] != f"OAuth {TOKEN}":
            self.error(401, 190, f"Invalid OAuth access token {self.headers['Authorization']}")
        elif status >= 400:
            self.error(status, 2, "forbidden" if status == 403 else "Service temporarily unavailable")
        elif parts.path == "/images":
            self.search(query, status)
        else:
            self.one(parts.path.strip("/"), status)

    def search(self, query: dict[str, str], status: int) -> None:
        west, south, east, north = (float(value) for value in query["bbox"].split(","))
        if east - west > SIDE + 1e-9 or north - south > SIDE + 1e-9:
            self.error(400, 100, "bbox must be smaller than 0.01 degrees square")
            return
        inside = [
            one for one in self.server.images
            if west <= one["geometry"]["coordinates"][0] < east and south <= one["geometry"]["coordinates"][1] < north
        ]  # fmt: skip
        if self.server.trouble.full_fails and len(inside) > self.server.page:
            self.error(500, 1, "Please reduce the amount of data you're asking for")
            return
        start = int(query.get("after", 0))
        size = min(self.server.page, int(query["limit"]))
        answer: dict[str, Any] = {"data": [self.shown(one) for one in inside[start : start + size]]}
        if self.server.paging and start + size < len(inside):
            answer["paging"] = {
                "next": f"{self.server.next_page}{self.path.partition('&after')[0]}&after={start + size}"
            }
        self.send(json.dumps(answer).encode(), status)

    def one(self, number: str, status: int) -> None:
        found = [one for one in self.server.images if one["id"] == number and number not in self.server.trouble.gone]
        if not found:
            self.error(400, 100, f"Unsupported get request. Object with ID '{number}' does not exist")
            return
        self.send(json.dumps(self.shown(found[0], fresh=True)).encode(), status)

    def shown(self, one: dict[str, Any], fresh: bool = False) -> dict[str, Any]:
        return one | {"thumb_2048_url": f"{self.server.url}/photo/{one['id']}?fresh={int(fresh)}"}

    def photo(self, number: str, query: dict[str, str], status: int) -> None:
        trouble = self.server.trouble
        assert "Authorization" not in self.headers, "the token is for the API alone"
        if number in trouble.gone:
            self.error(404, 0, "gone")
        elif number in trouble.refuse_new or (number in trouble.expired and query["fresh"] == "0"):
            self.error(403, 0, "URL signature expired")
        elif status >= 400:
            self.error(status, 0, "busy")
        else:
            panorama = any(one["id"] == number and one["is_pano"] for one in self.server.images)
            self.send(PANORAMA if panorama else PHOTO, status)

    def error(self, status: int, code: int, message: str) -> None:
        body = json.dumps({"error": {"message": message, "type": "OAuthException", "code": code}}).encode()
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", self.server.trouble.retry_after)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send(self, body: bytes, status: int) -> None:
        if status == -1:
            time.sleep(0.4)
        if status == -2:
            self.close_connection = True
            return
        if status == -5:
            body = b"<html>maintenance</html>"
        half = body[: len(body) // 2]
        self.send_response(200)
        self.send_header("Content-Length", str(len(half if status == -4 else body)))
        self.end_headers()
        self.wfile.write(half if status in (-3, -4) else body)
