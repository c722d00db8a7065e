"""OpenAI's Whisper from its published weights, into our `Whisper`: strictly, and in float32."""

import re
from pathlib import Path

import torch

from focused_attention.errors import UserError
from focused_attention.models import containers
from focused_attention.models.skeleton import Dimensions
from focused_attention.models.whisper import Config, Whisper, sinusoids

FRAMES_PER_POSITION = 2  # of 10 ms: Whisper's second convolution has stride 2


def weights_file(path: Path) -> Path:
    """The weights in a checkpoint's folder, or the file itself. Raises UserError without one."""
    if path.is_dir():
        for name in ("model.bin", "model.safetensors"):
            if (path / name).is_file():
                return path / name
        raise UserError(f"{path}: holds neither model.bin nor model.safetensors; name a folder or "
                        "file of OpenAI's, CTranslate2's or Hugging Face's Whisper")  # fmt: skip
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint; name a folder or a file that exists")
    return path


def load(path: Path, **slots) -> Whisper:
    """The model of a checkpoint, ready to run: nothing may be missing and nothing left over.

    `slots` (encoder, decoder, cross) put another mechanism into a slot, which must have the same
    arrays. Sizes come from the arrays, heads from the file.

    Raises UserError, in one line, for a file that is damaged, incomplete or not a Whisper.
    """
    file = weights_file(path)
    try:
        arrays, said = containers.read(file)
        model = Whisper(Config(**sizes(arrays, said), **slots))
        arrays.setdefault("encoder.positional_embedding", sinusoids(*_audio_positions(model)))
        check(arrays, model)
    except (ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{file}: {reason}; fetch the checkpoint again or name another") from None
    with torch.no_grad():
        for name, value in model.state_dict().items():
            value.copy_(arrays[name])  # float16 becomes float32
    return model.eval()


def sizes(arrays: containers.Arrays, said: dict[str, int]) -> dict[str, int]:
    """OpenAI's ten sizes, of which only the numbers of heads are no array's.

    Raises ValueError where arrays are missing, or the file says other sizes than its arrays have.
    """

    def shape(name: str, rank: int) -> torch.Size:
        if name not in arrays or arrays[name].ndim != rank:
            raise ValueError(f"has no array {name} of {rank} dimensions")
        return arrays[name].shape

    width, n_mels, _ = shape("encoder.conv1.weight", 3)
    n_vocab, text_width = shape("decoder.token_embedding.weight", 2)
    n_text_ctx, _ = shape("decoder.positional_embedding", 2)
    positions = arrays.get("encoder.positional_embedding")
    found = {
        "n_mels": n_mels,
        "n_audio_ctx": 1500 if positions is None else shape("encoder.positional_embedding", 2)[0],
        "n_audio_state": width,
        "n_audio_layer": layers(arrays, "encoder"),
        "n_vocab": n_vocab,
        "n_text_ctx": n_text_ctx,
        "n_text_state": text_width,
        "n_text_layer": layers(arrays, "decoder"),
    }
    for name, value in found.items():
        if said.get(name, value) != value:
            raise ValueError(f"says {name} = {said[name]}, but its arrays have {value}")
    for name in ("n_audio_head", "n_text_head"):
        if not (heads := said.get(name)) or width % heads:
            raise ValueError(f"says {name} = {said.get(name)}, which does not divide {width}")
        found[name] = heads
    return found


def layers(arrays: containers.Arrays, side: str) -> int:
    """How many layers the arrays of one side have."""
    found = {int(m[1]) for name in arrays if (m := re.match(rf"{side}\.blocks\.(\d+)\.", name))}
    return max(found, default=-1) + 1


def check(arrays: containers.Arrays, model: Whisper) -> None:
    """Raise ValueError unless the arrays are the model's: names, then shapes, then numbers."""
    expected = {name: value.shape for name, value in model.state_dict().items()}
    if missing := sorted(expected.keys() - arrays.keys()):
        raise ValueError(f"lacks {len(missing)} arrays, the first is {missing[0]}")
    if more := sorted(arrays.keys() - expected.keys()):
        raise ValueError(f"has {len(more)} arrays too many, the first is {more[0]}")
    for name, shape in expected.items():
        if arrays[name].shape != shape:
            raise ValueError(f"{name} is {tuple(arrays[name].shape)}, expected {tuple(shape)}")
        if not bool(arrays[name].isfinite().all()):
            raise ValueError(f"{name} has values that are not finite")


def _audio_positions(model: Whisper) -> tuple[int, int]:
    dims: Dimensions = model.dims
    return dims.n_audio_ctx, dims.n_audio_state
