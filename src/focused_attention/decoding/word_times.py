"""When every word was heard, from cross-attention: OpenAI's `find_alignment`.

https://github.com/openai/whisper `timing.py`: the weights of a few heads, standardised over tokens
and smoothed over time, are a picture of where each token was heard; dynamic time warping finds the
way through it. Shape alphabet: H heads that are asked, L tokens, S encoder positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from focused_attention.models import SpeechModel
from focused_attention.speech.whisper_tokens import TIME_STEP, WhisperTokenizer

SMOOTHING = 7  # encoder positions of the median filter


@dataclass(kw_only=True, slots=True)
class Word:
    text: str  # with its leading space
    tokens: list[int]
    start: float  # seconds
    end: float
    probability: float  # mean of its tokens'


@dataclass(frozen=True, kw_only=True, slots=True)
class Alignment:
    words: list[Word]
    tokens: tuple[int, ...]  # the text's
    picture: np.ndarray  # (tokens, S): how strongly each token was heard where


def heads_of(model: SpeechModel, told: Sequence[tuple[int, int]] | None) -> list[tuple[int, int]]:
    """The heads (layer, head) to ask: the checkpoint's, else all in the upper half of the layers.

    Raises ValueError for a head that the model has not.
    """
    layers, heads = model.dims.n_text_layer, model.dims.n_text_head
    if told is None:
        told = [(i, h) for i in range(layers // 2, layers) for h in range(heads)]
    if wrong := [(i, h) for i, h in told if not (0 <= i < layers and 0 <= h < heads)]:
        raise ValueError(f"heads: expected layers below {layers} and heads below {heads}, "
                         f"given {wrong[0]}")  # fmt: skip
    return list(told)


@torch.inference_mode()
def align(
    model: SpeechModel,
    tokenizer: WhisperTokenizer,
    audio: Tensor,
    prefix: Sequence[int],
    text: Sequence[int],
    heads: Sequence[tuple[int, int]],
    *,
    positions: int,
    language: str | None = None,
    qk_scale: float = 1.0,
) -> Alignment:
    """Where each word of `text` was heard, in seconds from the start of `audio` (1, S, D).

    `prefix` is start, language and task; only the first `positions` encoder positions are speech.
    `qk_scale` sharpens the weights (> 1) or softens them.
    """
    if not text:
        return Alignment(words=[], tokens=(), picture=np.zeros((0, positions), np.float32))
    whole = [*prefix, tokenizer.no_timestamps, *text, tokenizer.eot]
    output = model.decoder(torch.tensor([whole], device=audio.device), audio, need_weights=True)
    asked = [output.weights[layer][0, head] for layer, head in heads]
    weights = torch.stack(asked)[..., :positions].float()  # (H, L, S)
    weights = weights**qk_scale if qk_scale != 1 else weights
    picture = heard(weights / weights.sum(dim=-1, keepdim=True))[len(prefix) : -1]
    rows, columns = path(-picture.astype(np.float64))
    begins = columns[np.diff(rows, prepend=-1) > 0] * TIME_STEP  # of each token, and of the end
    chances = output.logits[0, len(prefix) : len(prefix) + len(text), : tokenizer.eot].float()
    said = chances.softmax(dim=-1).gather(1, torch.tensor(text, device=audio.device)[:, None])
    said = said[:, 0].tolist()
    words, done = [], 0
    for word, tokens in tokenizer.words(text, language):
        end = done + len(tokens)
        mean = sum(said[done:end]) / len(tokens)
        times = {"start": float(begins[done]), "end": float(begins[end])}
        words.append(Word(text=word, tokens=tokens, probability=mean, **times))
        done = end
    return Alignment(words=words, tokens=tuple(text), picture=picture[:-1])


def heard(weights: Tensor) -> np.ndarray:
    """One picture (L, S) from the weights (H, L, S): standardised, smoothed, and averaged."""
    # Imported on use: a machine that only trains has no SciPy.
    from scipy.ndimage import median_filter

    deviation, mean = torch.std_mean(weights, dim=-2, keepdim=True, correction=0)
    standard = torch.nan_to_num((weights - mean) / deviation).cpu().numpy()
    if standard.shape[-1] > SMOOTHING // 2:
        standard = median_filter(standard, (1, 1, SMOOTHING), mode="mirror")
    return standard.mean(axis=0)


def path(cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cheapest way through cost (L, S) that starts and ends in the corners and never goes back.

    Rows and columns of its cells. The sums are made along anti-diagonals, whose cells depend on the
    two before alone. Unless one of the others is cheapest of all, a way comes from the left, as
    OpenAI's.

    >>> path(np.array([[0.0, 1, 1], [1, 1, 0]]))
    (array([0, 0, 1]), array([0, 1, 2]))
    """
    L, S = cost.shape
    slanted = np.full((L + S - 1, L), np.inf)  # anti-diagonal, row
    for row in range(L):
        slanted[row : row + S, row] = cost[row]
    moves = np.zeros((L + S - 1, L), np.int8)  # 0 from above and left, 1 from above, 2 from left
    before = np.full(L + 1, np.inf, np.float32)  # of each row, one anti-diagonal back; the first
    corner = before.copy()  # entry is above the top. `corner` is two back.
    corner[0] = 0.0
    for diagonal, own in enumerate(slanted):
        across, above, left = corner[:-1], before[:-1], before[1:]
        move = np.full(L, 2, np.int8)
        move[(across < above) & (across < left)] = 0
        move[(above < across) & (above < left)] = 1
        moves[diagonal] = move
        least = np.choose(move, (across, above, left))
        corner, before = before, np.append(np.float32(np.inf), (own + least).astype(np.float32))
    row, column = L - 1, S - 1
    cells = []
    while row >= 0 and column >= 0:
        cells.append((row, column))
        move = 2 if row == 0 else 1 if column == 0 else moves[row + column, row]
        row, column = row - (move != 2), column - (move != 1)
    rows, columns = np.array(cells[::-1]).T
    return rows, columns
