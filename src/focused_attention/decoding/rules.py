"""What OpenAI's Whisper may write next: no suppressed tokens, no blank first, times in pairs.

https://github.com/openai/whisper `decoding.py`. Shape alphabet: N hypotheses, V vocabulary.
"""

import torch
from torch import Tensor

from focused_attention.speech.whisper_tokens import Rules, WhisperTokenizer

LATEST_START = 50  # of 20 ms: the first time in a window is at most one second


class WritingRules:
    """Takes from the logits of the next token what the rules forbid.

    With `timestamps`, a transcript is made of segments `<time> text <time>`: times never go back, a
    segment takes time, and a time is written where all times together are likelier than any text.
    """

    def __init__(self, tokenizer: WhisperTokenizer, rules: Rules, *, timestamps: bool):
        never = {*rules.suppressed, *((tokenizer.no_timestamps,) if timestamps else ())}
        self.eot, self.no_speech = tokenizer.eot, tokenizer.no_speech
        self.never = torch.tensor(sorted(never))
        self.first = torch.tensor(sorted(rules.first_suppressed))
        self.timestamps, self.begin = timestamps, tokenizer.timestamp_begin

    def apply(self, logits: Tensor, written: list[list[int]]) -> Tensor:
        """The logits (N, V), changed in place, after what each of N hypotheses has written."""
        logits.index_fill_(1, self.never.to(logits.device), -torch.inf)
        if not written[0]:
            logits.index_fill_(1, self.first.to(logits.device), -torch.inf)
        if self.timestamps:
            for row, tokens in zip(logits, written, strict=True):
                self._order(row, tokens)
            texts, times = logits[:, : self.begin], logits[:, self.begin :]
            due = times.logsumexp(dim=-1) > texts.amax(dim=-1)  # (N,)
            texts.masked_fill_(due[:, None], -torch.inf)
        return logits

    def _order(self, row: Tensor, tokens: list[int]) -> None:
        """Forbid times out of order, and text or times where the other must come: row (V,)."""
        if not tokens:  # a transcript starts with a time
            row[: self.begin] = -torch.inf
            row[self.begin + LATEST_START + 1 :] = -torch.inf
            return
        times = [token for token in tokens if token >= self.begin]
        closes = len(tokens) >= 2 and tokens[-1] >= self.begin > tokens[-2]  # a segment's end
        opens = tokens[-1] >= self.begin and not closes
        if opens:  # text follows
            row[self.begin :] = -torch.inf
        elif closes:  # a time or the end of text follows
            row[: self.eot] = -torch.inf
        if times:  # a new segment may start where the last one ended
            row[self.begin : times[-1] + (not closes)] = -torch.inf
