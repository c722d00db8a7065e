"""An arm, resolved: its model's dimensions, every slot's settings, and the source files it uses.

The resolved arm is what a train stage depends on. A new mechanism file, or a change of another
arm's mechanism, leaves it as it was, so that nothing else is trained again.
"""

import dataclasses
from pathlib import Path

from focused_attention import attention, models, sources
from focused_attention.errors import UserError
from focused_attention.models import Slot, SpeechModel
from focused_attention.params import Params, Train
from focused_attention.paths import PARAMS
from focused_attention.speech.store import FeatureStore

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
        slots, used = {}, {}
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
            used |= files(attention.names()[slot.mechanism])
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
    }
    return {
        "arm": name,
        "model": arm.model,
        "heads": arm.heads,
        "sizes": sizes | focus,
        "slots": slots,
        "sources": used,
    }


def of_study(arm: dict, training: Train) -> dict:
    """A resolved arm as a study trains it: with a CTC head if that study's loss has CTC in it."""
    return arm | {"sizes": arm["sizes"] | {"ctc": training.ctc > 0}}


def files(path: Path, package: Path = sources.PACKAGE) -> dict[str, str]:
    """SHA-256 of a mechanism's file and of those in `attention` that it imports, all the way."""
    folder = package / attention.FOLDER.name
    found: dict[str, str] = {}
    waiting = [path]
    while waiting:
        path = waiting.pop()
        name = path.relative_to(package).as_posix()
        if name in found or folder not in path.parents or path.name == "__init__.py":
            continue
        found[name] = sources.digest(path)
        waiting += sources.imports(path, package)
    return {name.partition("/")[2]: found[name] for name in sorted(found)}


def build_model(arm: dict, store: FeatureStore) -> SpeechModel:
    """The untrained model of a resolved arm for the store's features and vocabulary."""
    return models.build(
        arm["model"],
        n_mels=store.meta.n_mels,
        n_vocab=store.tokenizer.size,
        **arm["sizes"],
        **arm["slots"],
    )
