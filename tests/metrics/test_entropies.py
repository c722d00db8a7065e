"""Entropies along training: within their bounds, and 1 where every head is uniform."""

import pytest
import torch

from focused_attention.inference.temperature import temperature
from focused_attention.metrics.entropies import mean_entropies
from focused_attention.models import build

SIZES = {
    "n_audio_ctx": 60, "n_audio_state": 16, "n_audio_head": 2, "n_audio_layer": 1,
    "n_text_ctx": 40, "n_text_state": 16, "n_text_head": 2, "n_text_layer": 1,
}  # fmt: skip


@pytest.mark.parametrize("count", [1, 3])
def test_entropies_lie_between_one_key_and_all_of_them(composer, count):
    torch.manual_seed(0)
    store = composer.store
    model = build("echo", n_mels=store.meta.n_mels, n_vocab=store.tokenizer.size, **SIZES).eval()
    batch = composer.batch(composer.evaluation("digits", "dev", limit=count))
    found = mean_entropies(model, batch)
    assert set(found) == {"encoder_entropy", "cross_entropy"}
    assert all(0 < value <= 1 for value in found.values())
    with temperature(model, 1e6, "encoder", "cross"):
        uniform = mean_entropies(model, batch)
    assert uniform == pytest.approx({"encoder_entropy": 1, "cross_entropy": 1}, abs=1e-4)
    with temperature(model, 1e-6, "encoder", "cross"):
        sharp = mean_entropies(model, batch)
    assert sharp["cross_entropy"] < 0.05
