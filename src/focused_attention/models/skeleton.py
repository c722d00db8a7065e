"""The encoder-decoder that Whisper and Echo share; they differ in positions and blocks.

Shape alphabet: B batch, F feature frames, S encoder positions, L tokens, H heads, D width,
V vocabulary.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from focused_attention.models.blocks import Cache, ResidualAttentionBlock, Slot, sum_by_name
from focused_attention.models.projection import PackedProjection


@dataclass(kw_only=True, slots=True)
class Dimensions:
    """OpenAI's ten numbers, and the three things that are ours."""

    n_mels: int
    n_audio_ctx: int  # encoder positions
    n_audio_state: int
    n_audio_head: int
    n_audio_layer: int
    n_vocab: int
    n_text_ctx: int  # tokens
    n_text_state: int
    n_text_head: int
    n_text_layer: int
    conv_strides: tuple[int, int] = (1, 2)
    ctc: bool = False  # a second output: per encoder position, V tokens and the blank

    def __post_init__(self):
        self.conv_strides = tuple(self.conv_strides)
        if self.n_audio_state != self.n_text_state:
            raise ValueError(
                f"n_text_state: expected n_audio_state = {self.n_audio_state}, which "
                f"cross-attention reads, given {self.n_text_state}"
            )


class EncoderOutput(NamedTuple):
    audio: Tensor  # (B, S, D)
    mask: Tensor | None  # (B, S) bool, True = speech; None: no padding
    weights: list[Tensor] | None  # self-attention (B, H, S, S) per block, on request
    losses: dict[str, Tensor]


class DecoderOutput(NamedTuple):
    logits: Tensor  # (B, L, V)
    weights: list[Tensor] | None  # cross-attention (B, H, L, S) per block, on request
    losses: dict[str, Tensor]
    self_weights: list[Tensor] | None  # (B, H, L, tokens so far) per block, on request


class ModelOutput(NamedTuple):
    logits: Tensor  # (B, L, V)
    ctc_logits: Tensor | None  # (B, S, V + 1), the blank last
    mask: Tensor | None  # (B, S)
    weights: list[Tensor] | None  # cross-attention, as DecoderOutput.weights
    losses: dict[str, Tensor]
    encoder_weights: list[Tensor] | None
    decoder_weights: list[Tensor] | None


class AudioEncoder(nn.Module):
    """Two convolutions, positions where the model has them, blocks, and a last norm."""

    def __init__(self, dims: Dimensions, blocks: list[nn.Module], positions: Tensor | None):
        super().__init__()
        D = dims.n_audio_state
        first, second = dims.conv_strides
        self.conv1 = nn.Conv1d(dims.n_mels, D, kernel_size=3, stride=first, padding=1)
        self.conv2 = nn.Conv1d(D, D, kernel_size=3, stride=second, padding=1)
        self.register_buffer("positional_embedding", positions)  # (n_audio_ctx, D)
        self.blocks = nn.ModuleList(blocks)
        self.ln_post = nn.LayerNorm(D)

    def positions(self, frames):
        """Encoder positions of `frames` feature frames, an int or a tensor of ints."""
        for conv in (self.conv1, self.conv2):
            frames = -(-frames // conv.stride[0])  # width 3 and padding 1: ceil(frames / stride)
        return frames

    def forward(
        self, mel: Tensor, frames: Tensor | None = None, *, need_weights: bool = False
    ) -> EncoderOutput:
        """
        mel (B, n_mels, F): log-mel features, of which the first `frames` (B,) of an item are
        speech. Padding is zeroed before each convolution, as the borders of a lone item are.

        Raises ValueError for audio longer than the model has positions for.
        """
        n_frames = mel.shape[-1]
        if self.positional_embedding is not None:
            S, n_ctx = self.positions(n_frames), self.positional_embedding.shape[0]
            if n_ctx < S:
                raise ValueError(
                    f"mel: expected at most n_audio_ctx = {n_ctx} encoder positions, "
                    f"given {S} ({n_frames} frames)"
                )
        if frames is not None and bool((frames == n_frames).all()):
            frames = None
        x, mask = mel, None
        for conv in (self.conv1, self.conv2):
            if frames is not None:
                x = x.masked_fill(padding(frames, x.shape[-1])[:, None], 0.0)
                frames = -(-frames // conv.stride[0])
            x = F.gelu(conv(x))
        x = x.transpose(1, 2).contiguous()  # (B, S, D), once and not in every block
        if frames is not None:
            mask = ~padding(frames, x.shape[1])
        if self.positional_embedding is not None:
            x = x + self.positional_embedding[: x.shape[1]]
        weights, losses = [], []
        with embedded(self.blocks, x):
            for block in self.blocks:
                output = block(x, mask=mask, need_weights=need_weights)
                x = output.x
                weights.append(output.weights)
                losses += output.losses
        return EncoderOutput(
            self.ln_post(x), mask, weights if need_weights else None, sum_by_name(losses)
        )


class TextDecoder(nn.Module):
    """Token embedding (tied to the output), positions where the model has them, blocks, norm."""

    def __init__(self, dims: Dimensions, blocks: list[nn.Module], absolute_positions: bool):
        super().__init__()
        D = dims.n_text_state
        self.token_embedding = nn.Embedding(dims.n_vocab, D)
        nn.init.normal_(self.token_embedding.weight, std=D**-0.5)  # tied: logits of variance 1
        positions = nn.Parameter(torch.empty(dims.n_text_ctx, D)) if absolute_positions else None
        self.register_parameter("positional_embedding", positions)
        if positions is not None:
            nn.init.normal_(positions, std=D**-0.5)
        self.blocks = nn.ModuleList(blocks)
        self.ln = nn.LayerNorm(D)
        self.packed = PackedProjection()

    def train(self, mode: bool = True):
        self.packed.clear()
        return super().train(mode)

    def logits(self, x: Tensor) -> Tensor:
        """(B, L, D) -> (B, L, V), by the tied embedding."""
        weight = self.token_embedding.weight
        if not self.training and self.packed.suits(x, weight):
            return self.packed(x, weight)
        return F.linear(x, weight)

    def new_cache(self) -> Cache:
        return Cache(self.blocks)

    def forward(
        self,
        tokens: Tensor,
        audio: Tensor,
        mask: Tensor | None = None,
        *,
        cache: Cache | None = None,
        need_weights: bool = False,
    ) -> DecoderOutput:
        """
        tokens (B, L) int64: all of them, or with a cache those that follow the ones it has seen;
        audio (B, S, D): encoder output; mask (B, S) bool, True = speech.

        Raises ValueError for more tokens than the model has positions for.
        """
        x = self.token_embedding(tokens)  # (B, L, D)
        start = cache.length if cache is not None else 0
        end = start + tokens.shape[1]
        if self.positional_embedding is not None:
            n_ctx = self.positional_embedding.shape[0]
            if end > n_ctx:
                raise ValueError(f"tokens: expected at most n_text_ctx = {n_ctx}, given {end}")
            x = x + self.positional_embedding[start:end]
        weights, self_weights, losses = [], [], []
        with embedded(self.blocks, x):
            for i, block in enumerate(self.blocks):
                output = block(
                    x,
                    audio,
                    cross_mask=mask,
                    state=cache and cache.attn[i],
                    cross_state=cache and cache.cross_attn[i],
                    need_weights=need_weights,
                )
                x = output.x
                weights.append(output.cross_weights)
                self_weights.append(output.weights)
                losses += output.losses
        if cache is not None:
            cache.length = end
        return DecoderOutput(
            self.logits(self.ln(x)),
            weights if need_weights else None,
            sum_by_name(losses),
            self_weights if need_weights else None,
        )


class SpeechModel(nn.Module):
    """Encoder, decoder and, where asked for, a CTC head on the encoder."""

    def __init__(self, dims: Dimensions, encoder: AudioEncoder, decoder: TextDecoder):
        super().__init__()
        self.dims = dims
        self.encoder = encoder
        self.decoder = decoder
        self.ctc = nn.Linear(dims.n_audio_state, dims.n_vocab + 1) if dims.ctc else None

    @property
    def downsampling(self) -> int:
        """Feature frames per encoder position."""
        first, second = self.dims.conv_strides
        return first * second

    def forward(
        self,
        mel: Tensor,
        tokens: Tensor,
        frames: Tensor | None = None,
        need_weights: bool = False,
    ) -> ModelOutput:
        """mel (B, n_mels, F), tokens (B, L), frames (B,): valid frames of each item."""
        encoded = self.encoder(mel, frames, need_weights=need_weights)
        decoded = self.decoder(tokens, encoded.audio, encoded.mask, need_weights=need_weights)
        return ModelOutput(
            logits=decoded.logits,
            ctc_logits=self.ctc(encoded.audio) if self.ctc is not None else None,
            mask=encoded.mask,
            weights=decoded.weights,
            losses=sum_by_name([encoded.losses, decoded.losses]),
            encoder_weights=encoded.weights,
            decoder_weights=decoded.self_weights,
        )


def encoder_blocks(dims: Dimensions, *slots: Slot) -> list[nn.Module]:
    """A block for every slot, from the first to the last."""
    D, H = dims.n_audio_state, dims.n_audio_head
    return [
        ResidualAttentionBlock(D, H, slot, layer=layer, depth=len(slots))
        for layer, slot in enumerate(slots)
    ]


def decoder_blocks(dims: Dimensions, slot: Slot, cross: Slot) -> list[nn.Module]:
    D, H, depth = dims.n_text_state, dims.n_text_head, dims.n_text_layer
    return [
        ResidualAttentionBlock(D, H, slot, cross, causal=True, layer=layer, depth=depth)
        for layer in range(depth)
    ]


@contextmanager
def embedded(blocks: Iterable[nn.Module], x: Tensor) -> Iterator[None]:
    """Tell layers that ask for it what the first block is given, (B, T, D), normed as theirs is."""
    asking = [block for block in blocks if hasattr(block.attn, "embedded")]
    for block in asking:
        block.attn.embedded = block.attn_ln(x)
    try:
        yield
    finally:
        for block in asking:
            block.attn.embedded = None


def padding(lengths: Tensor, size: int) -> Tensor:
    """True where a position is past its item's length: (B,) -> (B, size)."""
    return torch.arange(size, device=lengths.device) >= lengths[:, None]
