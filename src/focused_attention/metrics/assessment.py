"""What a model in training makes of dev batches."""

from collections import Counter
from collections.abc import Callable

import torch

from focused_attention.decoding.transcribe import transcribe
from focused_attention.metrics.error_rates import error_rate, word_errors
from focused_attention.models import SpeechModel
from focused_attention.params import Train
from focused_attention.runs import device
from focused_attention.tasks.batches import Batch
from focused_attention.tasks.compose import Composer
from focused_attention.training.objective import losses

Probe = Callable[[SpeechModel, Batch], dict[str, float]]  # measures more of a batch


@torch.no_grad()
def assess(
    model: SpeechModel,
    composer: Composer,
    batches: list[Batch],
    params: Train,
    hardware: torch.device,
    probe: Probe | None = None,
) -> dict[str, float]:
    """Cross-entropy without smoothing, and by greedy decoding the word error rate and the share of
    utterances whose first word is right.

    What `probe` measures is averaged over the utterances.
    """
    model.eval()
    total, tokens, counts, first, probed = 0.0, 0, [], [], Counter()
    for batch in batches:
        batch = batch.to(hardware)
        with device.autocast(hardware):
            ce = losses(model, batch, params)["ce"]
            for name, value in (probe(model, batch) if probe else {}).items():
                probed[name] += value * len(batch.utterances)
        asked = int((batch.targets != -100).sum())
        total, tokens = total + float(ce) * asked, tokens + asked
        with device.autocast(hardware):
            hypotheses = transcribe(model, composer, batch)
        counts += [
            word_errors(u.text, h) for u, h in zip(batch.utterances, hypotheses, strict=True)
        ]
        first += [
            u.text.split()[:1] == h.split()[:1]
            for u, h in zip(batch.utterances, hypotheses, strict=True)
        ]
    model.train()
    return {
        "loss": total / max(1, tokens),
        "wer": error_rate(counts),
        "first_word": sum(first) / len(first),
    } | {name: value / len(first) for name, value in probed.items()}
