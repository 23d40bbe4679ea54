"""One step of a model for several questions at once, with what they share computed once where the model allows it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from tiercel.rerank.backends.backend import Request
from tiercel.rerank.backends.local_choices import Tokens
from tiercel.rerank.backends.local_loading import Loaded
from tiercel.rerank.backends.local_prompts import Inputs, Prompting, extended, padded

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import GenerationConfig

    from tiercel.rerank.backends.local_sharing import Prefix

Arguments = dict[str, Any]


class Output(Protocol):
    """What one pass of a model gives."""

    logits: Tensor
    past_key_values: Any


@dataclass(frozen=True)
class Batch:
    """Questions that are put to the model together.

    Attributes:
        inputs: Their whole tokens, and the pictures that are still to be computed.
        prefix: What all of them begin with and has been computed; None for nothing.
    """

    inputs: Inputs
    prefix: Prefix | None = None

    @property
    def lengths(self) -> list[int]:
        """Tokens of each question."""
        return [len(row["input_ids"]) for row in self.inputs.rows]


@dataclass(frozen=True)
class Running:
    """Runs one model."""

    loaded: Loaded
    prompting: Prompting

    def whole(self, requests: Sequence[Request]) -> Batch:
        """Questions of which nothing has been computed."""
        return Batch(self.prompting.inputs(requests))

    def next_token(self, batch: Batch, behind: Sequence[Tokens]) -> Tensor:
        """(questions, vocabulary) natural logarithms of the probabilities of the next token, on the CPU.

        Args:
            batch: The questions.
            behind: For each the beginning of the answer behind which it is asked.
        """
        import torch

        rows = [extended(row, tokens) for row, tokens in zip(batch.inputs.rows, behind, strict=True)]
        inputs = Inputs(rows, batch.inputs.pixels)
        if batch.prefix is None:
            arguments = {**padded(rows, self.padding), **inputs.pixels, **self.caching(False)}
            positions = self.positions(arguments)
        else:
            arguments, positions = batch.prefix.arguments(inputs, self, generating=False)
        with torch.inference_mode():
            logits = self.forward({**arguments, **positions}).logits[:, -1]
            return torch.log_softmax(logits.float(), -1).cpu()

    def generate(self, batch: Batch, max_tokens: int, with_logits: bool = False) -> tuple[list[list[int]], Tensor]:
        """The likeliest tokens one after another, up to where the model ends its turn.

        Args:
            batch: The questions.
            max_tokens: At most so many.
            with_logits: Whether the second result is wanted.

        Returns:
            For each question its new tokens, the one that ends the turn included; and what the model said at each
            step, (questions, steps, vocabulary), or an empty tensor.
        """
        import torch

        if batch.prefix is None:
            arguments = {**padded(batch.inputs.rows, self.padding), **batch.inputs.pixels}
            positions: Arguments = {}
        else:
            arguments, positions = batch.prefix.arguments(batch.inputs, self, generating=True)
        start = arguments["input_ids"].shape[1]
        with torch.inference_mode():
            made = self.loaded.model.generate(
                **self.moved({**arguments, **positions}),
                generation_config=self._greedy(max_tokens, with_logits),
            )
        logits = torch.stack(made.logits, 1).float().cpu() if with_logits else torch.empty(0)
        return [self._ended(tokens) for tokens in made.sequences[:, start:].tolist()], logits

    def forward(self, arguments: Arguments) -> Output:
        """One pass of the model, of which only the last position's logits are made where it can be told so."""
        last = {"logits_to_keep": 1} if self._accepts("logits_to_keep") else {}
        output: Output = self.loaded.model(**self.moved(arguments), **last)
        return output

    def moved(self, arguments: Arguments) -> Arguments:
        """Arguments where the model is, pictures in its precision."""
        import torch

        moved = {}
        for key, value in arguments.items():
            if isinstance(value, torch.Tensor):
                value = value.to(self.loaded.device)
                value = value.to(self.loaded.model.dtype) if value.is_floating_point() else value
            moved[key] = value
        return moved

    def caching(self, wanted: bool) -> Arguments:
        """Whether keys and values are to be kept, for a model that can be told."""
        return {"use_cache": wanted} if self._accepts("use_cache") or self._accepts("kwargs") else {}

    def positions(self, arguments: Arguments) -> Arguments:
        """Positions that count from each question's own beginning, for a model that would count padding too."""
        if self.counts_in_three or not self._accepts("position_ids"):
            return {}
        return {"position_ids": counted(arguments["attention_mask"])}

    @property
    def counts_in_three(self) -> bool:
        """Whether positions are rows, columns and times, which the model finds itself from its pictures' sizes."""
        return hasattr(getattr(self.loaded.model, "model", None), "get_rope_index")

    @cached_property
    def padding(self) -> int:
        """The token to fill up with."""
        return int(self.loaded.processor.tokenizer.pad_token_id or 0)

    def _accepts(self, argument: str) -> bool:
        return argument in inspect.signature(self.loaded.model.forward).parameters

    @cached_property
    def _ends(self) -> list[int]:
        """Tokens that end a turn."""
        told = self.loaded.model.generation_config.eos_token_id
        told = self.loaded.processor.tokenizer.eos_token_id if told is None else told
        return [] if told is None else [told] if isinstance(told, int) else list(told)

    def _ended(self, tokens: list[int]) -> list[int]:
        end = next((index for index, token in enumerate(tokens) if token in self._ends), len(tokens))
        return tokens[: end + 1]

    def _greedy(self, max_tokens: int, with_logits: bool) -> GenerationConfig:
        from transformers import GenerationConfig

        # What is left out is taken from the model's own file, which may ask for sampling or punish repetition.
        made: Any = GenerationConfig
        greedy: GenerationConfig = made(
            do_sample=False,
            num_beams=1,
            temperature=1.0,
            top_p=1.0,
            top_k=50,
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
            max_new_tokens=max_tokens,
            eos_token_id=self._ends or None,
            pad_token_id=self.padding,
            return_dict_in_generate=True,
            output_logits=with_logits,
        )
        return greedy


def counted(mask: Tensor) -> Tensor:
    """(questions, tokens) positions of tokens, those that are masked left out; 0 for these themselves."""
    return (mask.long().cumsum(-1) - 1).clamp(min=0).masked_fill(mask == 0, 0)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether that is what went wrong; on a CPU torch says so in words only."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    words = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in words or "can't allocate memory" in words)
