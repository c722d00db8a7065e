"""An arm, resolved: its model's dimensions, every slot's settings, and the source files it uses.

The resolved arm is what a train stage depends on. A new mechanism file, or a change of another
arm's mechanism, leaves it as it was, so that nothing else is trained again.
"""

import dataclasses
from pathlib import Path

from focused_attention import attention, models, regularisers, sources
from focused_attention.errors import UserError
from focused_attention.models import Slot, SpeechModel
from focused_attention.params import Arm, Params, Train
from focused_attention.paths import PARAMS
from focused_attention.speech.store import FeatureStore

SLOTS = ("focus", "encoder", "decoder", "cross")
GO_ON = {"train": "vary", "seek": "adapt"}  # by study: which stage trains its arms with a `start`


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
        added, more = regularised(arm)
        added |= started(params, arm)
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
        "sources": used | more,
        **added,
    }


def regularised(arm: Arm) -> tuple[dict, dict[str, str]]:
    """What the regularisers of an arm add to it, and to its sources; nothing if it has none.

    Raises ValueError for an unknown one, or for settings that it does not take.
    """
    settings, used = {}, {}
    for name, given in arm.regularisers.items():
        settings[name] = dataclasses.asdict(regularisers.configure(name, given))
        used |= files(regularisers.names()[name])
    return {"regularisers": settings} if settings else {}, used


def started(params: Params, arm: Arm) -> dict:
    """The resolved arm from whose weights an arm goes on, its own steps and haystacks; or nothing.

    Raises ValueError for a start without steps or the reverse, or from an arm that has one too.
    """
    bounds = {name: getattr(arm, name) for name in ("words", "prompts") if getattr(arm, name)}
    if not arm.start and not arm.steps and not bounds:
        return {}
    if not arm.start or arm.steps < 1:
        raise ValueError("start and steps: an arm that goes on from another's weights needs both")
    if arm.start not in params.arms:
        raise ValueError(f"start: unknown arm {arm.start!r}; choose {', '.join(params.arms)}")
    if params.arm(arm.start).start:
        raise ValueError(f"start: {arm.start} has a start itself; name the arm that it starts from")
    return {"start": resolve(params, arm.start), "steps": arm.steps} | bounds


def check_starts(params: Params) -> None:
    """Raises UserError, naming the key, if `runs` lists an arm where it cannot be trained."""
    for study, stage in GO_ON.items():
        first, further = getattr(params.runs, study), getattr(params.runs, stage)
        for name in first.arms:
            if params.arm(name).start:
                raise UserError(
                    f"{PARAMS}: runs.{study}.arms: {name} has a start; list it in runs.{stage}.arms"
                )
        for name in further.arms:
            if (start := params.arm(name).start) != further.start:
                raise UserError(
                    f"{PARAMS}: arms.{name}.start: expected {further.start!r}, as "
                    f"runs.{stage}.start, given {start!r}"
                )
        if not further.arms:
            continue
        if further.start not in first.arms:
            raise UserError(
                f"{PARAMS}: runs.{stage}.start: {further.start} is not one of runs.{study}.arms"
            )
        if strange := sorted(set(further.seeds) - set(first.seeds)):
            raise UserError(
                f"{PARAMS}: runs.{stage}.seeds: {strange[0]} is not one of runs.{study}.seeds"
            )
    if params.runs.vary.arms:
        _ = params.control("vary")  # there is one


def trained_by(arm: dict, study: str) -> str:
    """The stage that trains a resolved arm; its section of params.yaml has that name."""
    return GO_ON[study] if "start" in arm else study


def of_study(arm: dict, training: Train) -> dict:
    """A resolved arm as a study trains it: with a CTC head if that study's loss has CTC in it."""
    start = {"start": of_study(arm["start"], training)} if "start" in arm else {}
    return arm | {"sizes": arm["sizes"] | {"ctc": training.ctc > 0}} | start


def files(path: Path, package: Path = sources.PACKAGE) -> dict[str, str]:
    """SHA-256 of a mechanism's or regulariser's file and of those in its room that it imports, all
    the way; those of `attention` without the room's name.
    """
    folder = package / path.relative_to(package).parts[0]
    found: dict[str, str] = {}
    waiting = [path]
    while waiting:
        path = waiting.pop()
        name = path.relative_to(package).as_posix()
        if name in found or folder not in path.parents or path.name == "__init__.py":
            continue
        found[name] = sources.digest(path)
        waiting += sources.imports(path, package)
    room = f"{attention.FOLDER.name}/"
    return {name.removeprefix(room): found[name] for name in sorted(found)}


def build_model(arm: dict, store: FeatureStore) -> SpeechModel:
    """The untrained model of a resolved arm for the store's features and vocabulary."""
    return models.build(
        arm["model"],
        n_mels=store.meta.n_mels,
        n_vocab=store.tokenizer.size,
        **arm["sizes"],
        **arm["slots"],
    )
