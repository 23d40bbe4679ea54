"""A vision-language model in this process, run by transformers."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from tiercel.errors import TiercelError
from tiercel.rerank.backends.backend import Answer, Backend, Request
from tiercel.rerank.backends.local_choices import ChoiceTree, Tokens, sequences
from tiercel.rerank.backends.local_loading import Precision, Quantisation, load
from tiercel.rerank.backends.local_pictures import Pictures
from tiercel.rerank.backends.local_prompts import TAIL, Prompting, PromptTroubleError
from tiercel.rerank.backends.local_running import Batch, Running, is_out_of_memory
from tiercel.rerank.backends.local_sharing import Sharing, prefix_key

FORM = 1
"""Goes up whenever questions are put to models in another form, so that answers kept on disk are not mixed."""
SINGLE_IMAGE = frozenset({"blip-2", "florence2", "git", "instructblip", "kosmos-2"})
"""Types of models that take one picture."""


class LocalBackend(Backend):
    """Runs a vision-language model through transformers' ``AutoModelForImageTextToText``.

    Decoding is greedy. Where a question has choices, their probabilities are read from the next token (see
    `tiercel.rerank.backends.local_choices`). What all questions about a photo begin with is computed once if the
    model allows it (see `tiercel.rerank.backends.local_sharing`). Pictures that the image processor would crop are made
    square in grey.

    Attributes:
        name: The id or folder.
        single_image: Whether it takes one picture in a question.
        batch: Questions at once; halved for good when memory runs out.

    Args:
        name: An id on Hugging Face, or the folder of a model.
        device: As torch names it; ``auto`` is a GPU if there is one.
        precision: ``bf16``, ``fp16``, ``fp32``, or ``auto`` as the weights are stored.
        quantisation: ``8bit`` or ``4bit`` weights by way of bitsandbytes; None for none.
        batch: At most so many questions at once.
        revision: Branch, tag or commit on the hub.
        share_prefix: ``auto`` shares where it changes no answer; False never.
        single_image: Whether it takes one picture; None looks at its type.

    Raises:
        TiercelError: The model cannot be had, takes no pictures or has no chat template, or a package is missing.
    """

    def __init__(
        self,
        name: str | Path,
        *,
        device: str = "auto",
        precision: Precision = "bf16",
        quantisation: Quantisation | None = None,
        batch: int = 8,
        revision: str | None = None,
        share_prefix: Literal["auto"] | bool = "auto",
        single_image: bool | None = None,
    ) -> None:
        """Loads the model."""
        if batch < 1:
            raise TiercelError(f"batch must be 1 or more, not {batch}: it is the number of questions at once.")
        self.name, self.batch = str(name), batch
        self._loaded = load(self.name, device, precision, quantisation, revision)
        self._precision, self._quantisation = precision, quantisation
        self._running = Running(self._loaded, Prompting(self._loaded))
        self._sharing = Sharing(self._running, bool(share_prefix))
        self._pictures = Pictures(self._running, self._sharing)
        known = self._loaded.model.config.model_type in SINGLE_IMAGE
        self.single_image = known if single_image is None else single_image
        self._sequences: dict[tuple[tuple[str, ...], str], dict[str, set[Tokens]]] = {}

    @property
    def settings(self) -> dict[str, Any]:
        """All that bears on the answers beside the question.

        The version of transformers is among it, because its image processors change. Batches, the device and shared
        prefixes are not: they change answers by rounding alone. Neither is the folder: the digest of its files is.
        """
        import transformers

        folder = Path(self.name).expanduser().is_dir()
        return {
            "backend": "local",
            "form": FORM,
            "model": self._loaded.model.config.model_type if folder else self.name,
            "revision": self._loaded.revision,
            "precision": self._precision,
            "quantisation": self._quantisation,
            "template": hashlib.sha256(self._loaded.template.encode()).hexdigest(),
            "transformers": transformers.__version__,
        }

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """Answers questions in batches of those that share a prefix, kind and number of pictures."""
        groups: dict[Any, list[int]] = {}
        for index, request in enumerate(requests):
            kind = request.choices if request.choices else request.max_tokens
            groups.setdefault((prefix_key(request), len(request.pictures), kind), []).append(index)
        answers: dict[int, Answer] = {}
        for indices in groups.values():
            while indices:
                # Asked for anew each time: it may have become smaller.
                now, indices = indices[: self.batch], indices[self.batch :]
                answers.update(zip(now, self._answer([requests[index] for index in now]), strict=True))
        return [answers[index] for index in range(len(requests))]

    def _answer(self, requests: Sequence[Request]) -> list[Answer]:
        """One batch, in halves if it does not fit."""
        started = time.perf_counter()
        try:
            made = self._choose(requests) if requests[0].choices else self._write(requests)
        except PromptTroubleError as trouble:
            if len(requests) > 1:
                return [answer for request in requests for answer in self._answer([request])]
            made = [Answer(trouble=str(trouble))]
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            # The error's traceback holds on to tensors; what follows happens after it is gone.
            made = []
        if made:
            share = (time.perf_counter() - started) / len(requests)
            return [replace(answer, seconds=share) for answer in made]
        return self._smaller(requests)

    def _smaller(self, requests: Sequence[Request]) -> list[Answer]:
        self._forget()
        if len(requests) == 1:
            remedy = "choose smaller pictures or fewer of them, quantisation='4bit', or a smaller model"
            return [Answer(trouble=f"there is not enough memory on {self._loaded.device} for this question: {remedy}")]
        half = (len(requests) + 1) // 2
        self.batch = min(self.batch, half)
        return [*self._answer(requests[:half]), *self._answer(requests[half:])]

    def _forget(self) -> None:
        import torch

        self._sharing.latest = None
        if self._loaded.device.type == "cuda":
            torch.cuda.empty_cache()

    def _prepared(self, requests: Sequence[Request], kind: str) -> Batch:
        batch = self._sharing.batch(requests, kind) or self._pictures.batch(requests) or self._running.whole(requests)
        limit = self._loaded.context
        longest = max(batch.lengths)
        if limit is not None and longest > limit:
            raise PromptTroubleError(
                f"the question takes {longest} tokens, pictures included, and the model takes {limit} at most: choose "
                "smaller pictures, fewer of them, or a model with a longer context"
            )
        return batch

    def _choose(self, requests: Sequence[Request]) -> list[Answer]:
        trees = [ChoiceTree(self._written(request)) for request in requests]
        troubles = [tree.trouble for tree in trees]
        lengths: dict[int, int] = {}
        while asked := [
            (index, prefix) for index, tree in enumerate(trees) if not troubles[index] for prefix in tree.to_follow()
        ]:
            for start in range(0, len(asked), self.batch):
                part = asked[start : start + self.batch]
                batch = self._prepared([requests[index] for index, _ in part], "step")
                found = self._running.next_token(batch, [prefix for _, prefix in part])
                for row, ((index, prefix), length) in enumerate(zip(part, batch.lengths, strict=True)):
                    trees[index].follow(prefix, found[row])
                    lengths[index] = length
        return [
            Answer(trouble=trouble)
            if trouble
            else Answer(log_probabilities=tree.log_probabilities(), tokens_in=lengths[index], tokens_out=1)
            for index, (tree, trouble) in enumerate(zip(trees, troubles, strict=True))
        ]

    def _written(self, request: Request) -> dict[str, set[Tokens]]:
        """The token sequences of a question's choices."""
        prompting = self._running.prompting
        key = (request.choices, prompting.text(request)[-TAIL:])
        if key not in self._sequences:
            self._sequences[key] = sequences(*key, prompting.encode)
        return self._sequences[key]

    def _write(self, requests: Sequence[Request]) -> list[Answer]:
        batch = self._prepared(requests, "text")
        tokens, _ = self._running.generate(batch, requests[0].max_tokens)
        texts = self._loaded.processor.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return [
            Answer(text=text.strip(), tokens_in=length, tokens_out=len(new))
            for text, length, new in zip(texts, batch.lengths, tokens, strict=True)
        ]
