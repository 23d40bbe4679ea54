"""What the small model reads and writes: its tokenizer, its chat template, and reasons in words.

The tokenizer is a byte-level BPE that may merge across words (as in arXiv 2503.13423), learnt from the prompts and
answers themselves: a sentence of a prompt is a token or two, so a question is short. A prompt that was edited is still
read, as the words it has in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

IMAGE, END, PAD = "<image>", "</s>", "<pad>"
# Newlines are spelt out, because transformers drops those that follow a block.
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] | upper }}:{{ '\\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% else %}<image>{% endif %}"
    "{% endfor %}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{{ '\\n' }}{% endif %}"
)
VOCABULARY = 2048


def make_tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """A tokenizer in which the lines of texts are a few tokens each; digits and pictures stand alone.

    Args:
        texts: What is going to be read and written.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    alone = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in (r"\n", r"\d", r"[.:,;] ?")]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*alone, pre_tokenizers.ByteLevel(False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        min_frequency=2,
        special_tokens=[PAD, END, IMAGE],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        max_token_length=120,
    )
    pieces = sorted({piece for text in texts for piece in text.split(IMAGE)})
    tokenizer.train_from_iterator([piece for piece in pieces for _ in range(2)], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        extra_special_tokens={"image_token": IMAGE},
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def chat(tokenizer: PreTrainedTokenizerFast, messages: list[dict[str, Any]]) -> str:
    """Messages as the model reads them, up to where it begins to answer."""
    template: Any = tokenizer.apply_chat_template
    text = template(messages, chat_template=CHAT_TEMPLATE, tokenize=False, add_generation_prompt=True)
    return str(text)


GROUND = ("road", "paving", "grass", "water", "buildings", "trees")
"""Words for what lies where."""
_OF_CLASS = np.array([0, 1, 2, 2, 1, 1, 3, 2, 1, 1, 2, 2, 4, 4, 4, 5])
"""Index into `GROUND` of each class of `tiercel.sim.landcover`."""
_NEAR_M = (4.0, 8.0, 12.0, 16.0, 20.0)
_QUARTER = np.radians((np.arange(9) + 0.5) * 10.0 - 45.0)


def four_sides(
    cover: NDArray[np.uint8], cell_m: float, x: float, y: float, left_edge: float, seen: Sequence[bool], known: bool
) -> str:
    """What lies in the four directions around a camera, in words, such as ``ahead road, right buildings``.

    Args:
        cover: (N, N) land cover, row 0 in the north.
        cell_m: Side of its cells, metres.
        x: Metres east of the western edge.
        y: Metres south of the northern edge.
        left_edge: Azimuth of the left edge of the photo's strip, radians clockwise from north.
        seen: For the quarters around the strip's left edge, a quarter turn from it, and so on clockwise, whether the
            photo looked there.
        known: Whether the left edge is north; directions are named by the compass then, else as seen from the strip's
            middle.
    """
    names = ("north", "east", "south", "west") if known else ("behind", "left", "ahead", "right")
    words = []
    for quarter in range(4):
        if not seen[quarter]:
            continue
        azimuth = left_edge + quarter * np.pi / 2 + _QUARTER[:, None]
        col = ((x + np.sin(azimuth) * _NEAR_M) / cell_m).astype(int).clip(0, cover.shape[1] - 1)
        row = ((y - np.cos(azimuth) * _NEAR_M) / cell_m).astype(int).clip(0, cover.shape[0] - 1)
        most = np.bincount(_OF_CLASS[cover[row, col]].ravel(), minlength=len(GROUND)).argmax()
        words.append(f"{names[quarter]} {GROUND[int(most)]}")
    return ", ".join(words)
