"""The three files in which Whisper's weights travel, read as arrays under OpenAI's names.

- CTranslate2's container, version 6, of a "WhisperSpec" (https://github.com/OpenNMT/CTranslate2);
- OpenAI's `.pt`, unpickled with `weights_only`, which runs nothing that the file might hold;
- Hugging Face's safetensors, with the `config.json` beside it.

Every reader gives the arrays, and as many of OpenAI's ten sizes as the file says itself.
"""

import json
import pickle
import re
import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

DTYPES = (np.float32, np.int8, np.int16, np.int32, np.float16)  # by CTranslate2's numbers
Arrays = dict[str, Tensor]

CONTAINER_NAMES = {  # of a layer; stacked arrays are cut in equal parts
    "self_attention/layer_norm": ("attn_ln",),
    "self_attention/linear_0": ("attn.query", "attn.key", "attn.value"),
    "self_attention/linear_1": ("attn.out",),
    "attention/layer_norm": ("cross_attn_ln",),
    "attention/linear_0": ("cross_attn.query",),
    "attention/linear_1": ("cross_attn.key", "cross_attn.value"),
    "attention/linear_2": ("cross_attn.out",),
    "ffn/layer_norm": ("mlp_ln",),
    "ffn/linear_0": ("mlp.0",),
    "ffn/linear_1": ("mlp.2",),
}
KINDS = {"gamma": "weight", "beta": "bias"}  # of norms
HUGGING_FACE_NAMES = {
    "layers": "blocks",
    "self_attn_layer_norm": "attn_ln",
    "self_attn": "attn",
    "encoder_attn_layer_norm": "cross_attn_ln",
    "encoder_attn": "cross_attn",
    "q_proj": "query",
    "k_proj": "key",
    "v_proj": "value",
    "out_proj": "out",
    "fc1": "mlp.0",
    "fc2": "mlp.2",
    "final_layer_norm": "mlp_ln",
    "embed_tokens": "token_embedding",
}


def read(file: Path) -> tuple[Arrays, dict[str, int]]:
    """The arrays of a file of any of the three kinds, and the sizes that it names.

    Raises ValueError for a file that is none of them, or is damaged.
    """
    if file.suffix == ".safetensors":
        return _safetensors(file)
    if file.suffix == ".pt":
        return _pt(file)
    return _container(file)


class _Cursor:
    """Reads a file's bytes from front to back, and never past their end."""

    def __init__(self, content: bytes):
        self.content, self.at = memoryview(content), 0

    def bytes(self, size: int) -> memoryview:
        if self.at + size > len(self.content):
            raise ValueError(f"ends after {len(self.content)} bytes, in the middle of an array")
        self.at += size
        return self.content[self.at - size : self.at]

    def number(self, kind: str) -> int:
        return struct.unpack(f"<{kind}", self.bytes(struct.calcsize(kind)))[0]

    def name(self) -> str:
        return bytes(self.bytes(self.number("H"))).rstrip(b"\0").decode("ascii", "replace")


def _container(file: Path) -> tuple[Arrays, dict[str, int]]:
    """CTranslate2's: a header, arrays one after the other, and names that mean the same array."""
    cursor = _Cursor(file.read_bytes())
    version, spec = cursor.number("I"), cursor.name()
    if (version, spec) != (6, "WhisperSpec"):
        raise ValueError("is neither a .pt, nor a .safetensors, nor a Whisper of CTranslate2's")
    cursor.number("I")  # the revision of the spec
    arrays = {}
    for _ in range(cursor.number("I")):
        name = cursor.name()
        shape = [cursor.number("I") for _ in range(cursor.number("B"))]
        if (kind := cursor.number("B")) >= len(DTYPES):
            raise ValueError(f"{name} is of an unknown type")
        data = np.frombuffer(cursor.bytes(cursor.number("I")), DTYPES[kind])
        arrays[name] = data.reshape(shape)
    for _ in range(cursor.number("I")):
        cursor.name(), cursor.name()  # the output's projection is the embedding in every Whisper
    if cursor.at != len(cursor.content):
        raise ValueError(f"has {len(cursor.content) - cursor.at} bytes too many")
    heads = {
        size: int(arrays[name])
        for name, size in (
            ("encoder/num_heads", "n_audio_head"),
            ("decoder/num_heads", "n_text_head"),
        )
        if name in arrays
    }
    scalars = {name for name, array in arrays.items() if array.ndim == 0}
    named: Arrays = {}
    for name in arrays.keys() - scalars:
        if arrays[name].dtype not in (np.float16, np.float32):
            raise ValueError(f"{name} is quantised; take a float16 or float32 checkpoint")
        named |= _named(name, torch.from_numpy(arrays[name].astype(np.float32)))
    return named, heads


def _named(name: str, array: Tensor) -> Arrays:
    """An array of the container under OpenAI's name, or its parts under theirs."""
    side, *path, kind = name.split("/")
    kind = KINDS.get(kind, kind)
    match path:
        case ["embeddings"]:
            return {f"{side}.token_embedding.{kind}": array}
        case ["position_encodings"]:
            return {f"{side}.positional_embedding": array}
        case ["layer_norm"]:
            return {f"{side}.{'ln_post' if side == 'encoder' else 'ln'}.{kind}": array}
        case [conv] if conv in ("conv1", "conv2"):
            return {f"{side}.{conv}.{kind}": array}
    layer, _, place = "/".join(path).partition("/")
    number = re.fullmatch(r"layer_(\d+)", layer)
    if number is None or place not in CONTAINER_NAMES:
        raise ValueError(f"{name} has no place in a Whisper")
    parts = CONTAINER_NAMES[place]
    cut = dict(zip(parts, array.chunk(len(parts)), strict=True))
    if kind == "bias":  # the key has none: theirs is zero
        zeros = [cut.pop(part) for part in parts if part.endswith(".key")]
        if any(bool(part.any()) for part in zeros):
            raise ValueError(f"{name} gives the keys a bias, which Whisper has not")
    return {f"{side}.blocks.{number[1]}.{part}.{kind}": value for part, value in cut.items()}


def _pt(file: Path) -> tuple[Arrays, dict[str, int]]:
    """OpenAI's: a dictionary of `dims` and `model_state_dict`."""
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
        return content["model_state_dict"], content["dims"]
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"is not OpenAI's, or is damaged ({reason})") from None


def _safetensors(file: Path) -> tuple[Arrays, dict[str, int]]:
    """Hugging Face's `WhisperForConditionalGeneration`."""
    # Imported on use: a machine that only trains has no safetensors package.
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        config = json.loads((file.parent / "config.json").read_text("utf-8"))
        sizes = {
            "n_audio_head": config["encoder_attention_heads"],
            "n_text_head": config["decoder_attention_heads"],
        }
        loaded = load_file(file)
    except (SafetensorError, json.JSONDecodeError, KeyError) as error:
        raise ValueError(f"is damaged, or config.json beside it is ({error})") from None
    arrays = {}
    for name, array in loaded.items():
        if name == "proj_out.weight":  # the embedding again
            continue
        parts = [HUGGING_FACE_NAMES.get(p, p) for p in name.removeprefix("model.").split(".")]
        side, rest = parts[0], ".".join(parts[1:])
        rest = rest.replace("embed_positions.weight", "positional_embedding")
        last = "ln_post" if side == "encoder" else "ln"
        arrays[f"{side}.{re.sub('^layer_norm', last, rest)}"] = array
    return arrays, sizes
