"""What servers say when they do not answer, and whose mistake it is.

Servers differ in the status they answer with: a model without eyes is a 400 for one, a 404 for another and a 500 for
the third. So the words are read before the status.
"""

from __future__ import annotations

import email.utils
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tiercel.errors import TiercelError
from tiercel.rerank.backends.backend import Request

if TYPE_CHECKING:
    import openai

_PASSING = {408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529}
_TOO_LONG = re.compile(
    r"context[ _]?(length|size|window)|maximum (model|context|sequence)|max_model_len|too many tokens"
    r"|prompt is too long"
)
_BLIND = re.compile(
    r"not a multi-?modal model|at most 0 image|mmproj|no endpoints found that support image"
    r"|(image|vision|multi-?modal)[^.]{0,60}(not support|unsupported|only supported|does ?n[o']t support)"
    r"|(not support|unsupported|does ?n[o']t support|missing data required for)[^.]{0,60}(image|vision|multi-?modal)"
)
_TOO_MANY_PICTURES = re.compile(r"at most \d+ image|(only|more than) (one|1|a single) image|too many images")
_NO_MODEL = re.compile(r"model .{0,200}(not found|does not exist|not exist)|server is pinned to|no such model")
_NO_CREDIT = re.compile(r"insufficient_quota|exceeded your current quota|insufficient (credits|balance)")
_REFUSED = re.compile(r"content_filter|content_policy|content management policy|moderation|safety system|flagged")
_MOST_WORDS = 300


@dataclass(frozen=True)
class Trouble:
    """Why a try to get an answer failed.

    Attributes:
        sentence: For people.
        passes: Whether another try may succeed.
        unreachable: Whether there was no server at the other end.
        wait: Seconds after which the server wants to be asked again; None if it does not say.
    """

    sentence: str
    passes: bool = False
    unreachable: bool = False
    wait: float | None = None


def words(error: openai.APIError, key: str = "") -> str:
    """What a server gave as its reason, on one line, never empty, and without the key that some repeat."""
    said = " ".join(str(said_in(error.body) or error.message or type(error).__name__).split())
    return (said.replace(key, "***") if key else said)[:_MOST_WORDS]


def understand(error: openai.APIError, request: Request, model: str, url: str, key: str = "") -> Trouble:
    """What a failed try means.

    Args:
        error: What the `openai` package raised.
        request: That was not answered.
        model: That was asked for.
        url: Of the server.
        key: For the server, which is in no message.

    Raises:
        TiercelError: No other question will be answered either.
    """
    status = getattr(error, "status_code", None)
    if status is None:
        return _connection(error, url)
    said = words(error, key)
    lower = f"{said} {error.code} {error.type}".lower()
    if _TOO_LONG.search(lower):
        return Trouble(f"question too long for the model ({said}); serve it with a longer context or show less")
    if status == 404 and not _BLIND.search(lower):
        raise TiercelError(
            f"{url} has no model {model!r}, or no API at this address ({said}); name a model that it serves, and an "
            "address that ends as the server's documentation says, mostly in /v1"
        )
    _hopeless(lower, said, len(request.pictures), model, url)
    if status in (401, 403) and not _REFUSED.search(lower):
        raise TiercelError(f"{url} refuses the key ({said}); give a valid one as key= or in TIERCEL_API_KEY")
    if _REFUSED.search(lower) and status < 500:
        return Trouble(f"refused: {said}")
    if status in _PASSING:
        busy = "the server is asked too often" if status == 429 else f"the server failed with status {status}"
        return Trouble(f"{busy}: {said}", passes=True, wait=_retry_after(error))
    return Trouble(f"the server does not take the question (status {status}): {said}")


def _hopeless(lower: str, said: str, pictures: int, model: str, url: str) -> None:
    """Raises where the words mean that there is nothing to be had from this server."""
    if _NO_MODEL.search(lower):
        raise TiercelError(f"{url} has no model {model!r} ({said}); name a model that it serves")
    if _NO_CREDIT.search(lower):
        raise TiercelError(f"the account at {url} has no credit left ({said}); top it up or use another server")
    if pictures and _BLIND.search(lower):
        raise TiercelError(
            f"the model {model!r} at {url} takes no pictures ({said}); serve a vision-language model, with its "
            "projector (--mmproj) if the server is llama.cpp"
        )
    if pictures > 1 and _TOO_MANY_PICTURES.search(lower):
        raise TiercelError(
            f"the model {model!r} at {url} takes fewer than {pictures} pictures in a question ({said}); raise the "
            "server's limit (vLLM: --limit-mm-per-prompt), or put the pictures into one with single_image=True"
        )


def _connection(error: openai.APIError, url: str) -> Trouble:
    """No whole answer came: no server, none in time, or one that was cut off."""
    cause = type(error.__cause__).__name__
    if "Timeout" in f"{type(error).__name__}" and cause != "ConnectTimeout":
        return Trouble("the server did not answer in time", passes=True)
    if cause.startswith("Connect") or cause == "UnsupportedProtocol":
        return Trouble(f"{url} cannot be reached ({error.__cause__})", passes=True, unreachable=True)
    return Trouble(f"the connection was cut ({error.__cause__ or error.message})", passes=True)


def said_in(body: Any) -> Any:  # noqa: ANN401  (JSON of strangers)
    """The reason in an error's body, in one of the shapes that servers give it; None if there is none."""
    if not isinstance(body, dict):
        return body if isinstance(body, str) else None
    inner = body.get("error")
    if isinstance(inner, dict):
        return said_in(inner)
    return body.get("message") or inner or body.get("detail")


def _retry_after(error: openai.APIError) -> float | None:
    """Seconds, from the header that holds them or a date."""
    response = getattr(error, "response", None)
    value = response.headers.get("retry-after") if response is not None else None
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        date = email.utils.parsedate_tz(value)
        return None if date is None else max(0.0, email.utils.mktime_tz(date) - time.time())
