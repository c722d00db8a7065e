"""An arm, resolved: its model's dimensions, every slot's settings, and the source files it uses.

The resolved arm is what a train stage depends on. A new mechanism file, or a change of another
arm's mechanism, leaves it as it was, so that nothing else is trained again.
"""

import ast
import dataclasses
import hashlib
from pathlib import Path

from focused_attention import attention, models
from focused_attention.errors import UserError
from focused_attention.models import Slot, SpeechModel
from focused_attention.params import Params
from focused_attention.paths import PARAMS
from focused_attention.store import FeatureStore

SLOTS = ("focus", "encoder", "decoder", "cross")


def resolve(params: Params, name: str) -> dict:
    """Everything that decides what arm `name` is, as plain data.

    Raises UserError naming params.yaml and the key for an unknown model, mechanism or setting.
    """
    arm, shape = params.arm(name), params.model
    try:
        config = models.MODELS[arm.model][0] if arm.model in models.MODELS else None
        if config is None:
            raise ValueError(f"model: unknown {arm.model!r}; choose {', '.join(models.MODELS)}")
        slots, sources = {}, {}
        for field in dataclasses.fields(config):
            if field.name not in SLOTS:
                continue
            slot = Slot.of(getattr(arm, field.name) or field.default)
            mechanism, _ = attention.load(slot.mechanism)
            if unknown := set(slot.settings) - {f.name for f in dataclasses.fields(mechanism)}:
                raise ValueError(
                    f"{field.name}: {slot.mechanism}: unknown setting {min(unknown)!r}"
                )
            settings = dataclasses.asdict(mechanism(**slot.settings))
            slots[field.name] = {"mechanism": slot.mechanism, **settings}
            sources |= files(attention.names()[slot.mechanism])
        if extra := [s for s in SLOTS if getattr(arm, s) and s not in slots]:
            raise ValueError(f"{extra[0]}: {arm.model} has no such slot")
    except ValueError as error:
        raise UserError(f"{PARAMS}: arms.{name}: {error}") from None
    focus = {"focus_blocks": arm.focus_blocks} if "focus" in slots else {}
    if arm.focus_blocks and not focus:
        raise UserError(f"{PARAMS}: arms.{name}.focus_blocks: {arm.model} has no focus blocks")
    sizes = {
        "n_audio_ctx": shape.audio_context,
        "n_audio_state": shape.width,
        "n_audio_head": arm.heads,
        "n_audio_layer": shape.encoder_layers - arm.focus_blocks,
        "n_text_ctx": shape.text_context,
        "n_text_state": shape.width,
        "n_text_head": arm.heads,
        "n_text_layer": shape.decoder_layers,
        "conv_strides": list(shape.conv_strides),
        "ctc": params.train.ctc > 0,
    }
    return {
        "arm": name,
        "model": arm.model,
        "heads": arm.heads,
        "sizes": sizes | focus,
        "slots": slots,
        "sources": sources,
    }


def files(path: Path) -> dict[str, str]:
    """SHA-256 of a mechanism's file and of those in `attention` that it imports, all the way."""
    found: dict[str, str] = {}
    waiting = [path]
    while waiting:
        path = waiting.pop()
        name = path.relative_to(attention.FOLDER).as_posix()
        if name in found:
            continue
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module.startswith(attention.__name__):
                folder = attention.FOLDER.joinpath(*node.module.split(".")[2:])
                modules = [folder, *(folder / alias.name for alias in node.names)]
                waiting += [m.with_suffix(".py") for m in modules if m.with_suffix(".py").exists()]
    return dict(sorted(found.items()))


def build_model(arm: dict, store: FeatureStore) -> SpeechModel:
    """The untrained model of a resolved arm for the store's features and vocabulary."""
    return models.build(
        arm["model"],
        n_mels=store.meta.n_mels,
        n_vocab=store.tokenizer.size,
        **arm["sizes"],
        **arm["slots"],
    )
