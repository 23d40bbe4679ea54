"""The decoder of "Just Zoom In" (arXiv 2603.25686): a causal transformer that picks one child cell after the other.

Its sequence is ``photo, square 0, action 0, square 1, action 1, ...``; what is read at a square scores that square's
children. Tokens come in pairs: the photo with the root, and every further square with the action that led to it. A
pair sees itself and the pairs of the squares around it, nothing else. So the keys and values of a square serve all that
lies below it: `ZoomDecoder.extend` puts one pair through for each of many squares, where `ZoomDecoder.forward` repeats
the whole way down for each.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from tiercel.models.config import DecoderConfig

KeyValue = tuple[Tensor, Tensor]
ROTARY_BASE = 1e4
EPSILON = 1e-6


class RMSNorm(nn.Module):
    """x / root-mean-square(x) * weight, with `EPSILON` added to the mean square."""

    def __init__(self, width: int) -> None:
        """Makes the weight."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to the same shape."""
        return functional.rms_norm(x, self.weight.shape, self.weight, EPSILON)


class SwiGLU(nn.Module):
    """w2(silu(w1 x) * w3 x)."""

    def __init__(self, width: int, hidden: int) -> None:
        """Makes the layers."""
        super().__init__()
        self.w1 = nn.Linear(width, hidden, bias=False)
        self.w2 = nn.Linear(hidden, width, bias=False)
        self.w3 = nn.Linear(width, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to the same shape."""
        out: Tensor = self.w2(functional.silu(self.w1(x)) * self.w3(x))
        return out


class Attention(nn.Module):
    """Causal self-attention with rotary positions."""

    def __init__(self, config: DecoderConfig) -> None:
        """Makes the layers."""
        super().__init__()
        self.heads, self.dropout = config.heads, config.dropout
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (
            nn.Linear(config.width, config.width, bias=False) for _ in range(4)
        )

    def forward(self, x: Tensor, turn: KeyValue, past: KeyValue | None, last: bool = False) -> tuple[Tensor, KeyValue]:
        """Attend from new tokens to those before them and to themselves.

        Args:
            x: (B, T, width), the new tokens.
            turn: (T, head / 2) cosines and sines of their positions.
            past: Keys and values (B, heads, P, head) of what came before.
            last: Only the last of the new tokens asks; all can be asked.

        Returns:
            (B, T or 1, width), and the keys and values of the new tokens.
        """
        asking = x[:, -1:] if last else x
        count = asking.shape[1]
        query = rotated(self._split(self.q_proj(asking)), *(part[-count:] for part in turn))
        key, value = rotated(self._split(self.k_proj(x)), *turn), self._split(self.v_proj(x))
        new = (key, value)
        if past is not None:
            key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        dropout = self.dropout if self.training else 0.0
        seen = None
        if count > 1:
            seen = torch.ones(count, key.shape[2], dtype=torch.bool, device=x.device).tril(key.shape[2] - count)
        found = functional.scaled_dot_product_attention(query, key, value, seen, dropout)
        out: Tensor = self.out_proj(found.transpose(1, 2).flatten(2))
        return out, new

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:-1], self.heads, -1).transpose(1, 2)


def rotated(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn (..., T, head) by its positions: the first half and the second are the two coordinates of a plane each."""
    first, second = x.chunk(2, -1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], -1)


class Block(nn.Module):
    """Attention, then SwiGLU, each behind a norm and added to its input."""

    def __init__(self, config: DecoderConfig) -> None:
        """Makes the layers."""
        super().__init__()
        self.norm1, self.norm2 = RMSNorm(config.width), RMSNorm(config.width)
        self.self_attn, self.ffn = Attention(config), SwiGLU(config.width, config.hidden)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, turn: KeyValue, past: KeyValue | None, last: bool = False) -> tuple[Tensor, KeyValue]:
        """As `Attention.forward`."""
        found, new = self.self_attn(self.norm1(x), turn, past, last)
        x = (x[:, -1:] if last else x) + self.dropout(found)
        return x + self.dropout(self.ffn(self.norm2(x))), new


class ZoomDecoder(nn.Module):
    """From the tokens of a photo and of squares to a score for every child of the squares.

    Args:
        config: Sizes.
    """

    freqs: Tensor
    cosine: Tensor
    sine: Tensor

    def __init__(self, config: DecoderConfig) -> None:
        """Makes the layers."""
        super().__init__()
        self.config = config
        ways = config.grid**2
        self.action_embed = nn.Embedding(ways, config.width)
        self.blocks = nn.ModuleList([Block(config) for _ in range(config.blocks)])
        self.final_norm = RMSNorm(config.width)
        self.output_head = nn.Linear(config.width, ways, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
        frequencies = rotary_frequencies(config.width // config.heads)
        # The authors' files carry this buffer; what is computed with are the two tables made here.
        self.register_buffer("freqs", frequencies)
        angle = torch.outer(torch.arange(2 * config.depth + 1), frequencies)
        self.register_buffer("cosine", angle.cos(), persistent=False)
        self.register_buffer("sine", angle.sin(), persistent=False)

    def forward(self, photo: Tensor, squares: Tensor, actions: Tensor) -> Tensor:
        """Scores of the children of every square on the way, given the picks before it.

        Args:
            photo: (B, width).
            squares: (B, n, width), from the root down.
            actions: (B, n - 1 or more) int64, the pick in each; the n-th and later bear on nothing.

        Returns:
            (B, n, grid**2) logits, children row by row from the north-west.
        """
        leading = torch.cat([photo[:, None], self.action_embed(actions[:, : squares.shape[1] - 1])], 1)
        x = torch.stack([leading, squares], 2).flatten(1, 2)
        turn = self.cosine[: x.shape[1]], self.sine[: x.shape[1]]
        for block in self.blocks:
            x, _ = block(x, turn, None)
        logits: Tensor = self.output_head(self.final_norm(x[:, 1::2]))
        return logits

    def extend(self, pairs: Tensor, level: int, past: Sequence[KeyValue]) -> tuple[Tensor, list[KeyValue]]:
        """The same scores for squares of one level, of whose ancestors the keys and values are known.

        Args:
            pairs: (n, 2, width): the photo and the root at level 0, else an action's embedding and its square.
            level: Level of the squares.
            past: For each block the keys and values (n, heads, 2 * level, head) of the pairs above, from the root down.

        Returns:
            (n, grid**2) logits, and for each block the keys and values (n, heads, 2, head) of the pairs.
        """
        turn = self.cosine[2 * level : 2 * level + 2], self.sine[2 * level : 2 * level + 2]
        x, new = pairs, []
        for index, block in enumerate(self.blocks):
            # Nobody reads the action's output of the last block.
            x, own = block(x, turn, past[index] if level else None, last=index == len(self.blocks) - 1)
            new.append(own)
        return self.output_head(self.final_norm(x[:, -1])), new


def rotary_frequencies(head: int) -> Tensor:
    """(head / 2,) float32 radians a position: ROTARY_BASE ** (-2 i / head)."""
    return ROTARY_BASE ** (-torch.arange(0, head, 2, dtype=torch.float32) / head)
