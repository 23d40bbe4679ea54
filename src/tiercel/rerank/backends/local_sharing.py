"""What all questions about one photo begin with, computed once: the instructions and the photo itself.

The prefix is found among tokens, so it may be shorter than what the questions share as texts: a chat template may put
all pictures first, and then only the photo is shared. Nothing is known beforehand about whether a model's parts can be
computed one after the other. So the first time, one question is computed both ways, and if the answers differ nothing
is shared from then on.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tiercel.rerank.backends.backend import Picture, Request
from tiercel.rerank.backends.local_prompts import Inputs, PromptTroubleError, Row, padded, pixels_of
from tiercel.rerank.backends.local_running import Arguments, Batch, Running, counted, is_out_of_memory

if TYPE_CHECKING:
    from torch import Tensor

Key = tuple[Any, ...]
LIKELY = 5.0
"""Tokens are compared if their log-probability is at most so much below the likeliest one's."""
TOLERANCE = {"float32": 1e-3, "float16": 0.1, "bfloat16": 0.5}
"""By how much their log-probabilities may differ. Logits around 20 are 0.125 apart in bfloat16."""


def prefix_key(request: Request) -> Key | None:
    """What a question shares with others by its own account; None for nothing, or no picture."""
    parts = _prefix_parts(request)
    if not any(isinstance(part, Picture) for _, part in parts):
        return None
    return tuple((role, part if isinstance(part, str) else (part.digest,)) for role, part in parts)


def _prefix_parts(request: Request) -> list[tuple[str, str | Picture]]:
    found: list[tuple[str, str | Picture]] = []
    for turn in request.turns:
        if turn.role == "user":
            return [*found, *((turn.role, part) for part in turn.parts[: request.prefix_parts])]
        found += [(turn.role, part) for part in turn.parts]
    return []


@dataclass(frozen=True)
class Prefix:
    """A computed prefix.

    Attributes:
        row: Its tokens.
        cache: Keys and values of one question, to be copied before they are used.
        replacements: What stands in the text for each of its pictures.
        pixels: Its pictures as the image processor handed them over.
    """

    row: Row
    cache: Any
    replacements: list[str]
    pixels: dict[str, Tensor]

    def __len__(self) -> int:
        """Tokens."""
        return len(self.row["input_ids"])

    def begins(self, row: Row) -> bool:
        """Whether a question begins with it and goes on."""
        return len(row["input_ids"]) > len(self) and row["input_ids"][: len(self)] == self.row["input_ids"]

    def arguments(self, inputs: Inputs, running: Running, generating: bool) -> tuple[Arguments, Arguments]:
        """What the model is given to go on from here, and the positions.

        Padding stands between the prefix and the rest.

        Args:
            inputs: Whole tokens, but only the pictures behind the prefix.
            running: Of the model.
            generating: ``generate`` takes whole tokens and positions, a single pass only those of the rest.
        """
        import torch

        rests = [{key: values[len(self) :] for key, values in row.items()} for row in inputs.rows]
        rest = padded(rests, running.padding)
        before = {key: torch.tensor([values]).expand(len(rests), -1) for key, values in self.row.items()}
        whole = {key: torch.cat([before[key], rest[key]], 1) for key in rest}
        cache = copy.deepcopy(self.cache)
        cache.batch_repeat_interleave(len(rests))
        places = self._positions(whole, inputs, running, generating)
        chosen = whole if generating else {**rest, "attention_mask": whole["attention_mask"]}
        positions = {key: value if generating else value[..., len(self) :] for key, value in places.items()}
        return {**chosen, **inputs.pixels, "past_key_values": cache}, positions

    def _positions(self, whole: dict[str, Tensor], inputs: Inputs, running: Running, generating: bool) -> Arguments:
        import torch

        flat = counted(whole["attention_mask"])
        if not running.counts_in_three:
            return {"position_ids": flat}
        grids = [self.pixels["image_grid_thw"].expand(len(flat), -1, -1)]
        if "image_grid_thw" in inputs.pixels:
            grids.append(inputs.pixels["image_grid_thw"].reshape(len(flat), -1, 3))
        found, _ = running.loaded.model.model.get_rope_index(
            whole["input_ids"],
            mm_token_type_ids=whole["mm_token_type_ids"],
            image_grid_thw=torch.cat(grids, 1).flatten(0, 1),
            attention_mask=whole["attention_mask"],
        )
        # ``generate`` counts the tokens beside the three directions.
        return {"position_ids": torch.cat([flat[None], found]) if generating else found}


@dataclass
class Sharing:
    """Computes prefixes once, as long as that changes no answer.

    Attributes:
        running: Of the model.
        wanted: False never to share.
        works: For single steps and for texts, whether sharing was found to change nothing; as yet unknown if not in it.
        latest: The last prefix and what it is of. A photo's questions come in rounds, one after the other.
    """

    running: Running
    wanted: bool = True
    works: dict[str, bool] = field(default_factory=dict)
    latest: tuple[Key, Prefix] | None = None

    def may(self, kind: str) -> bool:
        """Whether it is worth trying."""
        refused = getattr(self.running.loaded.model.config, "shares_prefix", None) is False
        known = getattr(self.running.loaded.processor, "image_token", None) is not None
        return self.wanted and known and not refused and self.works.get(kind, True)

    def batch(self, requests: Sequence[Request], kind: str) -> Batch | None:
        """Questions that begin with a computed prefix; None if they share none, or the model allows none.

        Args:
            requests: With the same `prefix_key` and equally many pictures each.
            kind: ``step`` or ``text``.
        """
        key = prefix_key(requests[0])
        if key is None or not self.may(kind):
            return None
        try:
            batch = self._batch(requests, key)
            if batch is not None and kind not in self.works:
                self.works[kind] = self._agrees(requests, batch, kind)
        except PromptTroubleError:
            return None
        except Exception as error:
            # Whatever a model makes of being given half a question, whole ones can still be put to it.
            if is_out_of_memory(error) or self.works.get(kind):
                raise
            self.works[kind] = False
        return batch if self.works.get(kind) else None

    def _batch(self, requests: Sequence[Request], key: Key) -> Batch | None:
        count = sum(isinstance(part, Picture) for _, part in _prefix_parts(requests[0]))
        known = self.latest[1] if self.latest is not None and self.latest[0] == key else None
        if known is None and len(requests) == 1:
            return None
        if known is None:
            head, pixels = self.pictures([requests[0].pictures[:count]])
            replacements = head[0]
        else:
            replacements, pixels = known.replacements, known.pixels
        rest, rest_pixels = self.pictures([request.pictures[count:] for request in requests])
        rows = [
            self.row(self.running.prompting.text(request), [*replacements, *each])
            for request, each in zip(requests, rest, strict=True)
        ]
        if known is None or not all(known.begins(row) for row in rows):
            known = self._compute(rows, replacements, pixels)
            if known is None:
                return None
            self.latest = (key, known)
        return Batch(Inputs(rows, rest_pixels), known)

    def pictures(self, pictures: Sequence[Sequence[Picture]]) -> tuple[list[list[str]], dict[str, Tensor]]:
        """What stands in the text for pictures, for each question, and the pictures for the model."""
        if not pictures[0]:
            return [[] for _ in pictures], {}
        token = self.running.loaded.processor.image_token
        made, told = self.running.prompting.process([token * len(each) for each in pictures], pictures, True)
        return told, pixels_of(made)

    def row(self, text: str, replacements: list[str]) -> Row:
        """The tokens of a question, as the processor would have made them."""
        processor = self.running.loaded.processor
        pieces = text.split(processor.image_token)
        if len(pieces) != len(replacements) + 1:
            raise PromptTroubleError("the chat template places other pictures than the question has")
        full = pieces[0] + "".join(put + piece for put, piece in zip(replacements, pieces[1:], strict=True))
        ids = list(processor.tokenizer(full, add_special_tokens=self.running.prompting.adds_special(text))["input_ids"])
        row = {"input_ids": ids, "attention_mask": [1] * len(ids)}
        if getattr(processor, "return_mm_token_type_ids", False):
            row["mm_token_type_ids"] = list(processor.create_mm_token_type_ids([ids])[0])
        return row

    def _compute(self, rows: list[Row], replacements: list[str], pixels: dict[str, Tensor]) -> Prefix | None:
        """The longest common beginning of all rows that ends before the first picture that is not in the prefix."""
        import torch

        processor = self.running.loaded.processor
        inside = sum(text.count(processor.image_token) for text in replacements)
        image = processor.image_token_id
        places = [[index for index, token in enumerate(row["input_ids"]) if token == image] for row in rows]
        ends = [
            found[inside] if len(found) > inside else len(row["input_ids"]) - 1
            for row, found in zip(rows, places, strict=True)
        ]
        length = common_length([row["input_ids"][:end] for row, end in zip(rows, ends, strict=True)])
        if not inside or length <= places[0][inside - 1]:
            return None
        row = {key: values[:length] for key, values in rows[0].items()}
        arguments = {**padded([row], self.running.padding), **pixels, **self.running.caching(True)}
        with torch.inference_mode():
            made = self.running.forward({**arguments, **self.running.positions(arguments)})
        if made.past_key_values.get_seq_length() != length:
            return None
        return Prefix(row, made.past_key_values, replacements, pixels)

    def _agrees(self, requests: Sequence[Request], batch: Batch, kind: str) -> bool:
        """Whether the shortest question, which has the most padding, is answered as it is when put whole."""
        shortest = min(range(len(requests)), key=batch.lengths.__getitem__)
        whole = self.running.whole([requests[shortest]])
        if whole.inputs.rows[0] != batch.inputs.rows[shortest]:
            return False
        if kind == "step":
            apart = self.running.next_token(whole, [()])[0]
            together = self.running.next_token(batch, [()] * len(requests))[shortest]
            return self.close(apart, together)
        one, expected = self.running.generate(whole, 2, with_logits=True)
        several, found = self.running.generate(batch, 2, with_logits=True)
        steps = 2 if len(one[0]) == 2 and one[0][0] == several[shortest][0] else 1
        return all(
            self.close(expected[0, step].log_softmax(-1), found[shortest, step].log_softmax(-1))
            for step in range(steps)
        )

    def close(self, expected: Tensor, found: Tensor) -> bool:
        """Whether two answers, (vocabulary,) log-probabilities, are the same but for rounding."""
        likely = (expected > expected.max() - LIKELY) | (found > found.max() - LIKELY)
        precision = str(self.running.loaded.model.dtype).removeprefix("torch.")
        return bool(((expected - found).abs()[likely] <= TOLERANCE.get(precision, 0.0)).all())


def common_length(rows: Sequence[Sequence[int]]) -> int:
    """How many tokens all rows have in common at their beginnings."""
    shortest = min(len(row) for row in rows)
    return next((i for i in range(shortest) if any(row[i] != rows[0][i] for row in rows)), shortest)
