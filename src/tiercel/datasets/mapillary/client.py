"""Asking a server that may be slow, busy, rate limited or broken, until it answers or it is clear that it will not.

The token travels in a header and to the API alone, so that it is in no URL, no redirect, no file and no error.
"""

from __future__ import annotations

import email.utils
import http.client
import json
import random
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from tiercel import __version__
from tiercel.errors import TiercelError

API = "https://graph.mapillary.com"

_PASSING = {408, 425, 429, 500, 502, 503, 504}
_BAD_TOKEN = 190  # code of an OAuthException for a token that is malformed, expired or revoked
_TOO_MANY = {4, 17, 32, 613}  # codes of "request limit reached", which may come with any status
_TOO_MUCH = "reduce the amount of data"  # said of a question that no further try will get answered
_LONGEST_WAIT = 600.0

T = TypeVar("T")


class Expired(Exception):  # noqa: N818  (not an error: the address is asked for anew)
    """A photo's address is no longer valid."""


class Gone(Exception):  # noqa: N818  (not an error: the photo is counted and left out)
    """The server no longer has what was asked for."""


class OverloadedError(TiercelError):
    """The API says that it is asked for too much at once."""


@dataclass
class Patience:
    """How long to wait and how often to try again.

    Attributes:
        timeout: Seconds without a byte after which a request has failed.
        tries: How often a request is made before it is given up.
        first_wait: Seconds before the second try; every further wait is twice as long, and a random half of each is
            left out, so that many clients do not come back at once.
        rate: Requests a second at most, of all threads together.
    """

    timeout: float = 30.0
    tries: int = 6
    first_wait: float = 1.0
    rate: float = 20.0

    def wait(self, attempt: int) -> float:
        """Seconds to wait after so many failures."""
        return float(self.first_wait * 2 ** (attempt - 1) * random.uniform(0.5, 1.0))


@dataclass
class Client:
    """Requests to one API, from any number of threads.

    Attributes:
        token: Access token.
        api: Address of the API.
        patience: Waits and tries.
    """

    token: str
    api: str = API
    patience: Patience = field(default_factory=Patience)
    stopped: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _next: float = 0.0

    def ask(self, path: str, wanted: str, **parameters: str | int) -> dict[str, Any]:
        """The API's answer to a question.

        Args:
            path: Below the API's address.
            wanted: A key that the answer must have; without it, it counts as garbled and is asked for again.
            parameters: Of the query.

        Raises:
            TiercelError: The token is refused, the question is malformed, or the API does not answer.
            OverloadedError: It asks for less.
            Gone: There is no such thing.
        """
        return self.follow(f"{self.api.rstrip('/')}/{path}?{urlencode(parameters)}", wanted)

    def follow(self, url: str, wanted: str) -> dict[str, Any]:
        """The API's answer at an address of its own, as it gives for the next page; see `ask`."""
        if urlsplit(url).netloc != urlsplit(self.api).netloc:
            raise TiercelError(f"The API at {self.api} leads to {urlsplit(url).netloc}, another server: check --api.")
        try:
            return self._patiently(lambda: _json(self._get(url, with_token=True), wanted), f"the API at {self.api}")
        except Expired as refusal:
            raise _bad_token(str(refusal)) from None

    def fetch(self, url: str, check: Callable[[bytes], None], what: str) -> bytes:
        """A file.

        Args:
            url: Its address, which needs no token.
            check: Raises `ValueError` for bytes that are not what is wanted, such as half a photo.
            what: What to call it in an error.

        Raises:
            Expired: The address is no longer valid.
            Gone: There is no such file.
            TiercelError: The server does not send it.
        """

        def once() -> bytes:
            data = self._get(url, with_token=False)
            check(data)
            return data

        return self._patiently(once, what)

    def _patiently(self, once: Callable[[], T], what: str) -> T:
        """The result of a request, made again while its failures may pass."""
        trouble = ""
        for attempt in range(1, self.patience.tries + 1):
            pause = self.patience.wait(attempt)
            try:
                return once()
            except urllib.error.HTTPError as error:
                code, message = self._said(error)
                if error.code not in _PASSING and code not in _TOO_MANY:
                    raise _final(error.code, code, message, what) from None
                trouble = f"{error.code} {message or error.reason}"
                if _TOO_MUCH in message:
                    raise OverloadedError(f"{what[0].upper()}{what[1:]} is asked for too much ({trouble}).") from None
                pause = max(pause, _asked_wait(error))
            except (OSError, http.client.HTTPException) as error:
                trouble = _words(error)
            except ValueError as error:
                trouble = str(error)
            if attempt < self.patience.tries:
                self._pause(pause, what, trouble)
        raise TiercelError(
            f"{what[0].upper()}{what[1:]} failed {self.patience.tries} times ({self._hidden(trouble)}): run the same "
            "command again later, what has come is kept."
        )

    def _pause(self, seconds: float, what: str, trouble: str) -> None:
        if seconds > _LONGEST_WAIT:
            raise TiercelError(
                f"{what[0].upper()}{what[1:]} asks to wait for {seconds / 60:.0f} minutes ({self._hidden(trouble)}): "
                "run the same command again then, what has come is kept."
            )
        self.stopped.wait(seconds)

    def _get(self, url: str, *, with_token: bool) -> bytes:
        self._take_turn()
        agent = f"tiercel/{__version__} (builds data sets of street photos)"
        request = urllib.request.Request(url, headers={"User-Agent": agent})
        if with_token:
            request.add_unredirected_header("Authorization", f"OAuth {self.token}")
        with urllib.request.urlopen(request, timeout=self.patience.timeout) as response:
            data: bytes = response.read()
            return data

    def _take_turn(self) -> None:
        """Waits until another request may be made."""
        with self._lock:
            turn = max(self._next, time.monotonic())
            self._next = turn + 1 / self.patience.rate
        if self.stopped.wait(max(0.0, turn - time.monotonic())):
            raise TiercelError("Stopped: run the same command again to go on.")

    def _said(self, error: urllib.error.HTTPError) -> tuple[int, str]:
        """Code and message of an error as the API words it, where it does."""
        try:
            said = json.loads(error.read(100_000))["error"]
            return int(said.get("code", 0)), self._hidden(str(said.get("message", "")))[:300]
        except (ValueError, KeyError, TypeError, AttributeError, OSError, http.client.HTTPException):
            return 0, ""

    def _hidden(self, text: str) -> str:
        """A text without the token."""
        return text.replace(self.token, "(token)") if self.token else text


def _json(data: bytes, wanted: str) -> dict[str, Any]:
    try:
        answer = json.loads(data)
    except ValueError as error:
        raise ValueError("the answer is no JSON") from error
    if not isinstance(answer, dict) or wanted not in answer:
        raise ValueError("the answer is not what was asked for")
    return answer


def _final(status: int, code: int, message: str, what: str) -> Exception:
    """What an answer means that no further try will change."""
    said = f": {message.rstrip('.')}" if message else ""
    if code == _BAD_TOKEN or status == 401:
        return _bad_token(f"{status}{said}")
    if status == 403:
        return Expired(f"{status}{said}")
    if status in (404, 410) or "does not exist" in message:
        return Gone(f"{status}{said}")
    return TiercelError(f"{what[0].upper()}{what[1:]} refuses the request ({status}{said}): check --bbox and --api.")


def _bad_token(said: str) -> TiercelError:
    return TiercelError(
        f"Mapillary refuses the token ({said}): make one at https://www.mapillary.com/dashboard/developers and give it "
        "with --token or MAPILLARY_TOKEN."
    )


def _asked_wait(error: urllib.error.HTTPError) -> float:
    """Seconds that a server asks to wait, in either form of Retry-After."""
    asked = (error.headers.get("Retry-After") or "").strip()
    if asked.isdecimal():
        return float(asked)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(asked).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0


def _words(error: Exception) -> str:
    if isinstance(error, http.client.IncompleteRead):
        return "the answer was cut off"
    if isinstance(error, TimeoutError) or isinstance(getattr(error, "reason", None), TimeoutError):
        return "no answer in time"
    return str(getattr(error, "reason", None) or error) or type(error).__name__
