"""What focused attention decides while it trains: its spans, temperatures and their gradient."""

import torch

from focused_attention.models import SpeechModel

PREDICTORS = ("predictor", "span_pred")  # of spans, corrected and as published


class FocusReadout:
    """Reads every layer of a model that has `spans`; empty for a model without one.

    The layers' inputs are caught by hooks during the forward pass, so that the read-out is of the
    batch that was trained on.
    """

    def __init__(self, model: SpeechModel):
        self.layers = [layer for layer in model.modules() if hasattr(layer, "spans")]
        self.inputs: dict[int, tuple] = {}
        self.predictors = [
            parameter
            for name, parameter in model.named_parameters()
            if any(part in PREDICTORS for part in name.split("."))
        ]
        for layer in self.layers:
            layer.register_forward_pre_hook(self.catch)

    def catch(self, layer: torch.nn.Module, arguments: tuple) -> None:
        self.inputs[id(layer)] = arguments  # x, xa, mask

    @torch.no_grad()
    def read(self) -> dict[str, float]:
        """After the backward pass: span in encoder positions, temperature, gradient norm.

        Means over layers, items and heads; a predictor that got no gradient counts as zero.
        """
        if not self.layers:
            return {}
        spans = [layer.spans(*self.inputs[id(layer)]) for layer in self.layers]
        gradients = [p.grad.norm() for p in self.predictors if p.grad is not None]
        return {
            "span": float(torch.stack([s.span.float().mean() for s in spans]).mean()),
            "temperature": float(torch.stack([s.temperature.float().mean() for s in spans]).mean()),
            "predictor_grad_norm": float(torch.stack(gradients).norm()) if gradients else 0.0,
        }
