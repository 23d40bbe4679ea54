"""Waits: as long as the server asks, longer after every failure, and never more requests than allowed."""

from __future__ import annotations

import email.utils
import threading
import time
from collections.abc import Iterator

import pytest

from tests.datasets.mapillary.server import PHOTO, TOKEN, Mapillary, image
from tiercel.datasets.mapillary import client as module
from tiercel.datasets.mapillary.client import Client, Expired, Gone, OverloadedError, Patience
from tiercel.errors import TiercelError

SLOW = Patience(timeout=5.0, tries=4, first_wait=8.0, rate=1e6)


class Waits(threading.Event):
    """Waits for nothing, and remembers for how long it should have."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.asked.append(timeout or 0.0)
        return self.is_set()

    @property
    def long(self) -> list[float]:
        """Those that are not for the rate."""
        return [wait for wait in self.asked if wait > 0.5]


@pytest.fixture
def server() -> Iterator[Mapillary]:
    one = Mapillary([image(1, 13.365, 52.505)])
    yield one
    one.shutdown()
    one.server_close()


def ask(server: Mapillary, waits: Waits, patience: Patience = SLOW) -> None:
    client = Client(TOKEN, server.url, patience, stopped=waits)
    assert client.ask("1000001", "id", fields="id")["id"] == "1000001"


def test_every_wait_is_about_twice_the_one_before(server: Mapillary) -> None:
    server.trouble.status["/1000001"] = [500, 503, 502]
    ask(server, waits := Waits())
    assert len(waits.long) == 3
    assert all(4 * 2**n <= wait <= 8 * 2**n for n, wait in enumerate(waits.long))


def test_the_wait_that_the_server_asks_for_is_kept(server: Mapillary) -> None:
    server.trouble.status["/1000001"] = [429]
    server.trouble.retry_after = "77"
    ask(server, waits := Waits())
    assert waits.long == [77.0]


def test_a_wait_until_some_time_is_kept(server: Mapillary) -> None:
    server.trouble.status["/1000001"] = [429]
    server.trouble.retry_after = email.utils.formatdate(time.time() + 300, usegmt=True)
    ask(server, waits := Waits())
    assert len(waits.long) == 1 and 100 < waits.long[0] <= 301


@pytest.mark.parametrize("asked", ["", "soon", "-5", "1e99"])
def test_a_wait_that_makes_no_sense_is_our_own(server: Mapillary, asked: str) -> None:
    server.trouble.status["/1000001"] = [429]
    server.trouble.retry_after = asked
    ask(server, waits := Waits())
    assert len(waits.long) == 1 and 4 <= waits.long[0] <= 8


def test_a_wait_of_hours_is_left_to_the_user(server: Mapillary) -> None:
    server.trouble.status["/1000001"] = [429]
    server.trouble.retry_after = "7200"
    with pytest.raises(TiercelError, match=r"asks to wait for 120 minutes .* run the same command again then"):
        ask(server, waits := Waits())
    assert waits.long == []


def test_requests_take_turns_at_the_rate(server: Mapillary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.time, "monotonic", lambda: 1000.0)  # as if all came at once
    client = Client(TOKEN, server.url, Patience(rate=50.0), stopped=(waits := Waits()))
    for _ in range(4):
        client.ask("1000001", "id", fields="id")
    assert waits.asked == pytest.approx([0.0, 0.02, 0.04, 0.06])


def test_a_stopped_client_asks_no_more(server: Mapillary) -> None:
    waits = Waits()
    waits.set()
    with pytest.raises(TiercelError, match="Stopped"):
        ask(server, waits)
    assert server.asked.total() == 0


def test_what_a_refusal_means(server: Mapillary) -> None:
    client = Client(TOKEN, server.url, SLOW, stopped=Waits())
    with pytest.raises(Gone):
        client.ask("7", "id", fields="id")
    server.trouble.expired = {"1000001"}
    with pytest.raises(Expired):
        client.fetch(f"{server.url}/photo/1000001?fresh=0", lambda data: None, "photo 1000001")
    assert client.fetch(f"{server.url}/photo/1000001?fresh=1", lambda data: None, "photo 1000001") == PHOTO
    server.trouble.full_fails, server.page = True, 0
    with pytest.raises(OverloadedError):
        client.ask("images", "data", bbox="13.36,52.5,13.37,52.51", limit=2000)
    with pytest.raises(
        TiercelError, match=r"refuses the request \(400: bbox must be smaller than .* square\): check --bbox"
    ):
        client.ask("images", "data", bbox="13.3,52.5,13.4,52.6", limit=2000)
    with pytest.raises(TiercelError, match=r"refuses the token \(403: forbidden\)"):
        server.trouble.status["/1000001"] = [403]
        client.ask("1000001", "id", fields="id")
