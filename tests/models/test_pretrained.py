"""Published weights: three kinds of file, one model, and one line for whatever is wrong."""

import json
import struct

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from focused_attention import models
from focused_attention.errors import UserError
from focused_attention.models import pretrained

SIZES = {
    "n_mels": 8, "n_audio_ctx": 20, "n_audio_state": 16, "n_audio_head": 2, "n_audio_layer": 2,
    "n_vocab": 11, "n_text_ctx": 9, "n_text_state": 16, "n_text_head": 4, "n_text_layer": 1,
}  # fmt: skip


@pytest.fixture
def state():
    """Random weights that float16 holds exactly, under OpenAI's names."""
    torch.manual_seed(0)
    arrays = models.build("whisper", **SIZES).state_dict()
    return {name: torch.randn_like(array).half().float() for name, array in arrays.items()}


def stacked(state, place, names):
    """Weights and biases of several projections as one; the key's bias is zero."""
    weights = [state[f"{place}.{name}.weight"] for name in names]
    biases = [state.get(f"{place}.{name}.bias", torch.zeros(16)) for name in names]
    return {"weight": torch.cat(weights), "bias": torch.cat(biases)}


def container(state):
    """What CTranslate2 calls the arrays."""
    arrays = {}

    def put(name, place, kinds=("weight", "bias")):
        for kind, theirs in zip(("weight", "bias"), kinds, strict=True):
            arrays[f"{name}/{theirs}"] = state[f"{place}.{kind}"]

    norm = ("gamma", "beta")
    for side, n, last in (("encoder", 2, "ln_post"), ("decoder", 1, "ln")):
        put(f"{side}/layer_norm", f"{side}.{last}", norm)
        arrays[f"{side}/position_encodings/encodings"] = state[f"{side}.positional_embedding"]
        for i in range(n):
            block, layer = f"{side}.blocks.{i}", f"{side}/layer_{i}"
            put(f"{layer}/self_attention/layer_norm", f"{block}.attn_ln", norm)
            put(f"{layer}/ffn/layer_norm", f"{block}.mlp_ln", norm)
            put(f"{layer}/ffn/linear_0", f"{block}.mlp.0")
            put(f"{layer}/ffn/linear_1", f"{block}.mlp.2")
            put(f"{layer}/self_attention/linear_1", f"{block}.attn.out")
            for kind, array in stacked(state, f"{block}.attn", ("query", "key", "value")).items():
                arrays[f"{layer}/self_attention/linear_0/{kind}"] = array
            if side == "decoder":
                put(f"{layer}/attention/layer_norm", f"{block}.cross_attn_ln", norm)
                put(f"{layer}/attention/linear_0", f"{block}.cross_attn.query")
                put(f"{layer}/attention/linear_2", f"{block}.cross_attn.out")
                for kind, array in stacked(state, f"{block}.cross_attn", ("key", "value")).items():
                    arrays[f"{layer}/attention/linear_1/{kind}"] = array
    for conv in ("conv1", "conv2"):
        put(f"encoder/{conv}", f"encoder.{conv}")
    arrays["decoder/embeddings/weight"] = state["decoder.token_embedding.weight"]
    return {name: array.half().numpy() for name, array in arrays.items()} | {
        "encoder/num_heads": np.int16(2),
        "decoder/num_heads": np.int16(4),
        "decoder/pre_norm": np.int8(1),
    }


def packed(arrays):
    """The bytes of a container."""
    kinds = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}

    def name(text):
        return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"

    parts = [struct.pack("<I", 6), name("WhisperSpec"), struct.pack("<II", 3, len(arrays))]
    for key, array in arrays.items():
        shape = struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
        data = array.tobytes()
        parts += [name(key), shape, struct.pack("<BI", kinds[array.dtype.name], len(data)), data]
    alias = name("decoder/projection/weight") + name("decoder/embeddings/weight")
    return b"".join(parts) + struct.pack("<I", 1) + alias


def as_container(folder, state):
    (folder / "model.bin").write_bytes(packed(container(state)))
    return folder / "model.bin"


def as_pt(folder, state):
    content = {"dims": SIZES, "model_state_dict": {n: a.half() for n, a in state.items()}}
    torch.save(content, folder / "model.pt")
    return folder / "model.pt"


def as_safetensors(folder, state):
    theirs = [
        ("cross_attn_ln", "encoder_attn_layer_norm"), ("cross_attn", "encoder_attn"),
        ("attn_ln", "self_attn_layer_norm"), (".attn.", ".self_attn."), ("blocks", "layers"),
        ("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj"), (".out.", ".out_proj."),
        ("mlp_ln", "final_layer_norm"), ("mlp.0", "fc1"), ("mlp.2", "fc2"),
        ("token_embedding", "embed_tokens"), ("positional_embedding", "embed_positions.weight"),
        ("encoder.ln_post", "encoder.layer_norm"), ("decoder.ln.", "decoder.layer_norm."),
    ]  # fmt: skip
    arrays = {}
    for name, array in state.items():
        for ours, other in theirs:
            name = name.replace(ours, other)
        arrays[f"model.{name}"] = array.contiguous()
    arrays["proj_out.weight"] = state["decoder.token_embedding.weight"].clone()
    save_file(arrays, folder / "model.safetensors")
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 4}
    (folder / "config.json").write_text(json.dumps(heads))
    return folder / "model.safetensors"


WRITERS = [as_container, as_pt, as_safetensors]


@pytest.mark.parametrize("write", WRITERS)
def test_every_kind_of_file_is_the_same_model(tmp_path, state, write):
    model = pretrained.load(write(tmp_path, state))
    assert {name: getattr(model.dims, name) for name in SIZES} == SIZES
    for name, array in model.state_dict().items():
        assert_close(array, state[name], rtol=0, atol=0, msg=name)


def test_a_folder_and_a_file_are_the_same(tmp_path, state):
    file = as_container(tmp_path, state)
    mel = torch.randn(1, 8, 30)
    given = pretrained.load(tmp_path).encoder(mel).audio
    assert_close(given, pretrained.load(file).encoder(mel).audio, rtol=0, atol=0)


def test_positions_that_are_not_in_the_file_are_sinusoids(tmp_path, state):
    arrays = container(state)
    del arrays["encoder/position_encodings/encodings"]
    (tmp_path / "model.bin").write_bytes(packed(arrays))
    positions = pretrained.load(tmp_path).encoder.positional_embedding
    assert_close(positions, models.whisper.sinusoids(1500, 16))


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("keep", [0, 3, 40, -700, -1])
def test_a_truncated_file(tmp_path, state, write, keep):
    file = write(tmp_path, state)
    file.write_bytes(file.read_bytes()[:keep])
    refused(file, ".*")


def refused(file, pattern):
    with pytest.raises(UserError, match=pattern) as error:
        pretrained.load(file)
    assert str(error.value).startswith(f"{file}: ")
    assert "\n" not in str(error.value)
    assert "fetch the checkpoint again" in str(error.value)


def test_bytes_after_the_end(tmp_path, state):
    file = as_container(tmp_path, state)
    file.write_bytes(file.read_bytes() + b"more")
    refused(file, "has 4 bytes too many")


KEYS = "decoder/layer_0/attention/linear_1/bias"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"encoder/conv1/bias": None}, r"lacks 1 arrays, the first is encoder\.conv1\.bias"),
        ({"decoder/embeddings/weight": None}, r"has no array decoder\.token_embedding\.weight"),
        ({"encoder/layer_2/ffn/linear_0/bias": np.zeros(64, np.float16)}, "lacks 1[0-9] arrays"),
        ({"decoder/conv1/bias": np.zeros(16, np.float16)}, "1 arrays too many"),
        ({"decoder/gate/weight": np.zeros(16, np.float16)}, "gate/weight has no place"),
        ({"encoder/conv1/bias": np.zeros(15, np.float16)}, r"is \(15,\), expected \(16,\)"),
        ({"encoder/conv1/bias": np.full(16, np.nan, np.float16)}, "not finite"),
        ({"encoder/conv1/bias": np.zeros(16, np.int8)}, "quantised"),
        ({"decoder/num_heads": np.int16(5)}, "n_text_head = 5, which does not divide 16"),
        ({KEYS: np.ones(32, np.float16)}, "gives the keys a bias"),
    ],
)
def test_an_altered_container(tmp_path, state, change, problem):
    arrays = container(state) | change
    kept = {name: array for name, array in arrays.items() if array is not None}
    (tmp_path / "model.bin").write_bytes(packed(kept))
    refused(tmp_path / "model.bin", problem)


def test_sizes_that_are_not_the_arrays(tmp_path, state):
    torch.save({"dims": SIZES | {"n_vocab": 12}, "model_state_dict": state}, tmp_path / "x.pt")
    refused(tmp_path / "x.pt", "says n_vocab = 12, but its arrays have 11")


class Evil:
    def __reduce__(self):
        return (open, ("written-by-a-pickle", "w"))


def test_a_pickle_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"dims": Evil(), "model_state_dict": {}}, tmp_path / "x.pt")
    refused(tmp_path / "x.pt", "is not OpenAI's")
    assert not (tmp_path / "written-by-a-pickle").exists()


def test_a_path_without_weights(tmp_path):
    with pytest.raises(UserError, match=r"holds neither model\.bin nor model\.safetensors"):
        pretrained.load(tmp_path)
    with pytest.raises(UserError, match="no such checkpoint"):
        pretrained.load(tmp_path / "none")


def test_the_published_model_has_its_published_sizes(tiny_en):
    model = pretrained.load(tiny_en)
    assert sum(p.numel() for p in model.parameters()) == 37_184_256
    assert model.dims.n_vocab == 51864
    assert model.encoder.positional_embedding.shape == (1500, 384)
