"""The two models of the comparison, by name."""

import dataclasses

from focused_attention.models import echo, whisper
from focused_attention.models.adopt import adopt as adopt
from focused_attention.models.blocks import Cache as Cache
from focused_attention.models.blocks import Slot as Slot
from focused_attention.models.skeleton import DecoderOutput as DecoderOutput
from focused_attention.models.skeleton import EncoderOutput as EncoderOutput
from focused_attention.models.skeleton import ModelOutput as ModelOutput
from focused_attention.models.skeleton import SpeechModel

MODELS = {"whisper": (whisper.Config, whisper.Whisper), "echo": (echo.Config, echo.Echo)}


def build(model: str, **settings) -> SpeechModel:
    """Model `model`, "whisper" or "echo", from the fields of its `Config`.

    A slot (encoder, decoder, cross; Echo also focus) is a mechanism's name or a mapping
    {"mechanism": name, setting: value, ...}.

    Raises ValueError for an unknown model, setting or mechanism, or a missing setting.
    """
    if model not in MODELS:
        raise ValueError(f"model: unknown {model!r}; choose one of {', '.join(MODELS)}")
    config_cls, model_cls = MODELS[model]
    fields = {field.name: field for field in dataclasses.fields(config_cls)}
    if unknown := sorted(set(settings) - set(fields)):
        raise ValueError(f"{model}: unknown setting {unknown[0]!r}; it takes {', '.join(fields)}")
    if missing := [
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and name not in settings
    ]:
        raise ValueError(f"{model}: setting {missing[0]!r} is missing")
    return model_cls(config_cls(**settings))
