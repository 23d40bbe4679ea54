"""Pictures that several questions show, looked at once.

Where what questions begin with cannot be computed once (see `tiercel.rerank.backends.local_sharing`), their pictures
still can: fifty pairs of ten candidates show eleven pictures. It takes a model that accepts what it made of pictures in
place of them, and an image processor that makes one array of each.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tiercel.rerank.backends.backend import Picture, Request
from tiercel.rerank.backends.local_prompts import Inputs, PromptTroubleError
from tiercel.rerank.backends.local_running import Batch, Running, is_out_of_memory
from tiercel.rerank.backends.local_sharing import Sharing, prefix_key

if TYPE_CHECKING:
    from torch import Tensor

ENCODED = "mm_encoder_outputs"
"""The argument by which models of transformers accept what they made of pictures."""


@dataclass
class Pictures:
    """Looks at each picture of a batch once, as long as that changes no answer.

    Attributes:
        running: Of the model.
        sharing: Knows how texts and pictures are put together.
        works: Whether it was found to change nothing; None before that is known.
    """

    running: Running
    sharing: Sharing
    works: bool | None = field(default=None)

    def batch(self, requests: Sequence[Request]) -> Batch | None:
        """Questions with their pictures looked at; None if none is shown twice, or the model allows it not.

        Args:
            requests: Of one photo, with equally many pictures each.
        """
        unique = {picture.digest: picture for request in requests for picture in request.pictures}
        shown = sum(len(request.pictures) for request in requests)
        if self.works is False or len(unique) == shown or prefix_key(requests[0]) is None or not self._accepted():
            return None
        try:
            batch = self._batch(requests, unique)
            if self.works is None:
                self.works = batch is not None and self._agrees(requests, batch)
        except PromptTroubleError:
            return None
        except Exception as error:
            if is_out_of_memory(error) or self.works:
                raise
            self.works = False
        return batch if self.works else None

    def _accepted(self) -> bool:
        loaded = self.running.loaded
        told = getattr(loaded.processor, "image_token", None) is not None
        return told and ENCODED in inspect.signature(loaded.model.forward).parameters

    def _batch(self, requests: Sequence[Request], unique: dict[str, Picture]) -> Batch | None:
        import torch
        from transformers.modeling_outputs import BaseModelOutputWithPooling

        # In the order in which they are first shown, so that the photo comes before its candidates.
        told, pixels = self.sharing.pictures([list(unique.values())])
        if set(pixels) != {"pixel_values"} or len(pixels["pixel_values"]) != len(unique):
            return None
        with torch.inference_mode():
            made = self.running.loaded.model.get_image_features(**self.running.moved(pixels), return_dict=True)
        features: Sequence[Tensor] = made.pooler_output
        if len(features) != len(unique):
            return None
        number = {digest: index for index, digest in enumerate(unique)}
        order = [[number[picture.digest] for picture in request.pictures] for request in requests]
        rows = [
            self.sharing.row(self.running.prompting.text(request), [told[0][index] for index in indices])
            for request, indices in zip(requests, order, strict=True)
        ]
        encoded: Any = [features[index] for indices in order for index in indices]
        return Batch(Inputs(rows, {ENCODED: {"image": BaseModelOutputWithPooling(pooler_output=encoded)}}))

    def _agrees(self, requests: Sequence[Request], batch: Batch) -> bool:
        """Whether the last question is answered as it is when put whole."""
        whole = self.running.whole([requests[-1]])
        if whole.inputs.rows[0] != batch.inputs.rows[-1]:
            return False
        apart = self.running.next_token(whole, [()])[0]
        together = self.running.next_token(batch, [()] * len(requests))[-1]
        return self.sharing.close(apart, together)
