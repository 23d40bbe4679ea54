"""A question as the messages that OpenAI-compatible servers take."""

from __future__ import annotations

import base64
import io
from functools import lru_cache
from typing import Any

from PIL import Image

from tiercel.rerank.backends.backend import Picture, Request, Turn


def messages(request: Request) -> list[dict[str, Any]]:
    """The turns, pictures as PNG data URLs between the texts they stand between."""
    return [{"role": turn.role, "content": _content(turn)} for turn in request.turns]


def _content(turn: Turn) -> str | list[dict[str, Any]]:
    """Parts; where it is all one text, that text, which every server takes from every role."""
    if len(turn.parts) == 1 and isinstance(turn.parts[0], str):
        return turn.parts[0]
    return [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "image_url", "image_url": {"url": data_url(part)}}
        for part in turn.parts
    ]


@lru_cache(maxsize=32)  # the photo comes in every question about it
def data_url(picture: Picture) -> str:
    """The picture as a PNG that holds every pixel as it is."""
    buffer = io.BytesIO()
    Image.fromarray(picture.pixels).save(buffer, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
