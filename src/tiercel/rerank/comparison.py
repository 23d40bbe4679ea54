"""The picture of a second look: candidate beside candidate, with what the judge made of each."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tiercel.fix.picture import INK, MUTED, PAPER

if TYPE_CHECKING:
    from tiercel.photos import Photo
    from tiercel.rerank.second_look import SecondLook

_TILE, _GAP, _ACROSS = 250, 20, 5
_LINE, _WORDS = 19, 34
_PHOTO = (_TILE * 2 + _GAP, 300)
_WINNER = (20, 136, 108)


def draw_comparison(look: SecondLook, photo: Photo) -> Image.Image:
    """Draws it.

    Args:
        look: With its pictures.
        photo: The photo.
    """
    title, body = ImageFont.load_default(19), ImageFont.load_default(14)
    texts = [_text(look, place) for place in look.outcome.order]
    rows = -(-len(texts) // _ACROSS)
    words = max(len(lines) for lines in texts) * _LINE
    width = _ACROSS * (_TILE + _GAP) + _GAP
    page = Image.new("RGB", (width, _PHOTO[1] + 3 * _GAP + rows * (_TILE + words + 2 * _GAP)), PAPER)
    draw = ImageDraw.Draw(page)
    shown = Image.fromarray(photo.pixels)
    shown.thumbnail(_PHOTO)
    page.paste(shown, (_GAP, _GAP))
    left = _GAP * 2 + shown.width
    draw.text((left, _GAP), "The second look", fill=INK, font=ImageFont.load_default(28))
    for number, line in enumerate(textwrap.wrap(look.summary(), 70)):
        draw.text((left, _GAP + 44 + number * 24), line, fill=MUTED, font=title)
    for rank, (place, lines) in enumerate(zip(look.outcome.order, texts, strict=True)):
        x = _GAP + rank % _ACROSS * (_TILE + _GAP)
        y = _PHOTO[1] + 2 * _GAP + rank // _ACROSS * (_TILE + words + 2 * _GAP)
        page.paste(_tile(look.pictures[place]), (x, y))
        if rank == 0:
            draw.rectangle((x - 4, y - 4, x + _TILE + 3, y + _TILE + 3), outline=_WINNER, width=4)
        for number, line in enumerate(lines):
            colour = (_WINNER if rank == 0 else INK) if number == 0 else MUTED
            draw.text((x, y + _TILE + 6 + number * _LINE), line, fill=colour, font=title if number == 0 else body)
    return page


def _tile(picture: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(picture).resize((_TILE, _TILE), Image.Resampling.LANCZOS)


def _text(look: SecondLook, place: int) -> list[str]:
    """A heading, how the candidate fared, and what the judge said."""
    rank = look.outcome.order.index(place) + 1
    moved = "" if rank == place + 1 else f", was {place + 1}"
    lines = [f"{rank}{moved}", *textwrap.wrap(look.words_for(place), _WORDS)]
    return lines + textwrap.wrap(look.reason_for(place), _WORDS)
