"""What is minimised: cross-entropy of the text, joint CTC, and what mechanisms add."""

import torch.nn.functional as F
from torch import Tensor

from focused_attention.models import SpeechModel
from focused_attention.params import Train
from focused_attention.tasks.batches import Batch


def losses(model: SpeechModel, batch: Batch, params: Train) -> dict[str, Tensor]:
    """The loss of a batch and its parts: cross-entropy of the text, CTC, auxiliary losses."""
    output = model(batch.features, batch.tokens, batch.frames)
    parts = {
        "ce": F.cross_entropy(
            output.logits.float().transpose(1, 2),
            batch.targets,
            ignore_index=-100,
            label_smoothing=params.label_smoothing if model.training else 0.0,
        )
    }
    total = parts["ce"]
    if output.ctc_logits is not None:
        logits = output.ctc_logits.float()
        positions = model.encoder.positions(batch.frames)
        parts["ctc"] = F.ctc_loss(
            logits.log_softmax(-1).transpose(0, 1),  # (S, B, V + 1)
            batch.text,
            positions,
            batch.text_lengths,
            blank=logits.shape[-1] - 1,
            zero_infinity=True,
        )
        total = total + params.ctc * parts["ctc"]
    for name, value in output.losses.items():
        parts[name] = value
        total = total + value
    return {"loss": total, **parts}
