"""Turning questions into a model's inputs: its chat template, its pictures, its tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from tiercel.rerank.backends.backend import Picture, Request
from tiercel.rerank.backends.local_loading import Loaded

if TYPE_CHECKING:
    from torch import Tensor

Row = dict[str, list[int]]
"""One question's tokens, without padding: under ``input_ids`` the tokens, under other names what goes with each."""
GREY = 127
TAIL = 64
"""Characters at the end of a prompt that are looked at to tell how an answer's tokens go on from it."""


class PromptTroubleError(Exception):
    """A question that cannot be put to the model; the message is one sentence."""


@dataclass(frozen=True)
class Inputs:
    """Several questions as a model takes them.

    Attributes:
        rows: Their tokens.
        pixels: Their pictures, as the image processor hands them over, under the names the model knows; or what the
            model made of them.
    """

    rows: list[Row]
    pixels: dict[str, Any]


@dataclass(frozen=True)
class Prompting:
    """Puts questions as one model expects them."""

    loaded: Loaded

    def text(self, request: Request) -> str:
        """A question in the model's chat template, up to where the answer begins; a placeholder for each picture.

        Raises:
            PromptTroubleError: The template refuses it.
        """
        from jinja2 import TemplateError

        messages = [
            {
                "role": turn.role,
                "content": [
                    {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"}
                    for part in turn.parts
                ],
            }
            for turn in request.turns
        ]
        try:
            text = self.loaded.processor.apply_chat_template(
                messages, chat_template=self.loaded.template, tokenize=False, add_generation_prompt=True
            )
        except (TemplateError, TypeError) as error:
            raise PromptTroubleError(f"the model's chat template refuses the question: {error}") from None
        return str(text)

    def inputs(self, requests: Sequence[Request]) -> Inputs:
        """Several questions with equally many pictures each.

        Raises:
            PromptTroubleError: The processor refuses them.
        """
        texts = [self.text(request) for request in requests]
        made, _ = self.process(texts, [request.pictures for request in requests])
        rows = [self.row(made, index) for index in range(len(texts))]
        return Inputs(rows, pixels_of(made))

    def process(
        self, texts: Sequence[str], pictures: Sequence[Sequence[Picture]], replacements: bool = False
    ) -> tuple[dict[str, Any], list[list[str]]]:
        """What the processor makes of texts and pictures.

        Args:
            texts: With a placeholder for each picture.
            pictures: Those of each text.
            replacements: Whether the second result is wanted.

        Returns:
            Tensors, the texts padded; and for each text what was put in place of its pictures.

        Raises:
            PromptTroubleError: It refuses them.
        """
        images = [[self.image(picture) for picture in each] for each in pictures]
        wanted = {"return_text_replacement_offsets": True} if replacements else {}
        try:
            made = self.loaded.processor(
                text=list(texts),
                images=images if any(images) else None,
                padding=True,
                add_special_tokens=self.adds_special(texts[0]),
                **wanted,
            )
            told = made.pop("text_replacement_offsets") if replacements else []
            # Some processors would make tensors of the replacements as well, so it is done here.
            made = dict(made.convert_to_tensors(tensor_type="pt"))
        except (ValueError, IndexError, StopIteration) as error:
            raise PromptTroubleError(f"the model's processor refuses the question: {error}") from None
        return made, [[each["replacement"] for each in row] for row in told]

    def adds_special(self, text: str) -> bool:
        """Whether the tokenizer has to begin a prompt with its token for that; not where the template did it."""
        begin = self.loaded.processor.tokenizer.bos_token
        return not (begin and text.startswith(begin))

    def row(self, made: dict[str, Any], index: int) -> Row:
        """One question's tokens out of padded ones."""
        keep = made["attention_mask"][index].bool()
        return {key: value[index][keep].tolist() for key, value in made.items() if _goes_with_tokens(key)}

    def image(self, picture: Picture) -> Image.Image:
        """A picture for the image processor; made square in grey where that would cut off what is not."""
        image = Image.fromarray(np.ascontiguousarray(picture.pixels))
        if not self._margin:
            return image
        side = math.ceil(max(image.size) * self._margin)
        if image.size == (side, side):
            return image
        square = Image.new("RGB", (side, side), (GREY, GREY, GREY))
        square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
        return square

    @cached_property
    def _margin(self) -> float:
        """A square's side for a picture of side 1, such that a crop of the middle leaves all of it; 0 for no crop."""
        pictures = self.loaded.processor.image_processor
        if not getattr(pictures, "do_center_crop", False):
            return 0.0
        resized, kept = (_edge(getattr(pictures, name, None)) for name in ("size", "crop_size"))
        if not resized or not kept or not getattr(pictures, "do_resize", True):
            return 1.0
        return max(1.0, resized / kept)

    def encode(self, text: str) -> list[int]:
        """Tokens of a text, without those that stand around it."""
        return list(self.loaded.processor.tokenizer.encode(text, add_special_tokens=False))


def _edge(size: Mapping[str, int] | None) -> float:
    """The shorter edge that a size in an image processor's settings stands for; 0 if it is not told."""
    found = [size.get(key) for key in ("shortest_edge", "height", "width")] if size else []
    return min((float(edge) for edge in found if edge), default=0.0)


def pixels_of(made: dict[str, Any]) -> dict[str, Tensor]:
    """Of what a processor made, all but the tokens."""
    return {key: value for key, value in made.items() if not _goes_with_tokens(key)}


def _goes_with_tokens(key: str) -> bool:
    return key in ("input_ids", "attention_mask") or key.endswith("token_type_ids")


def extended(row: Row, tokens: Sequence[int]) -> Row:
    """A row with the beginning of an answer behind it."""
    fill = {"input_ids": list(tokens), "attention_mask": [1] * len(tokens)}
    return {key: values + fill.get(key, [0] * len(tokens)) for key, values in row.items()}


def padded(rows: Sequence[Row], padding: int) -> dict[str, Tensor]:
    """Rows of different lengths as tensors (rows, longest), filled up on the left.

    Args:
        rows: All with the same names.
        padding: The token to fill with.
    """
    import torch

    longest = max(len(row["input_ids"]) for row in rows)
    made = {}
    for key in rows[0]:
        fill = padding if key == "input_ids" else 0
        made[key] = torch.tensor([[fill] * (longest - len(row[key])) + row[key] for row in rows])
    return made
