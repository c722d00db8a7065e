"""A published Whisper, ready to listen: by the name of a checkpoint, or from a folder or file."""

from dataclasses import replace
from pathlib import Path

from focused_attention.corpora import checkpoints
from focused_attention.decoding.windows import Listener
from focused_attention.errors import UserError
from focused_attention.models import pretrained
from focused_attention.paths import CHECKPOINT_FILES
from focused_attention.speech.whisper_tokens import WhisperTokenizer, rules

SAME_TOKENS = {51864: "tiny.en", 51865: "base"}  # by vocabulary: English alone, 99 languages


def listener(name: str, folder: Path = CHECKPOINT_FILES, *, packed: bool = False) -> Listener:
    """The Whisper that `name` means: tiny.en or base, which are fetched to `folder`, or a path.

    Where no tokenizer lies beside the weights, as with OpenAI's own `.pt`, it is the published one
    of the same vocabulary. `packed` as in `Listener`.

    Raises UserError for a name that is neither, and for a checkpoint that is damaged.
    """
    path = Path(name)
    if name in checkpoints.CHECKPOINTS:
        path = checkpoints.fetch(name, folder)
    elif not path.exists():
        known = ", ".join(checkpoints.CHECKPOINTS)
        raise UserError(f"{name}: no such checkpoint; name one of {known}, or a folder or file")
    model = pretrained.load(path)
    beside = path if path.is_dir() else path.parent
    if (beside / "tokenizer.json").is_file():
        tokenizer = WhisperTokenizer(beside / "tokenizer.json")
        return Listener(model, tokenizer, rules(beside), packed=packed)
    if model.dims.n_vocab not in SAME_TOKENS:
        raise UserError(
            f"{beside}: no tokenizer.json, and no published one has {model.dims.n_vocab} tokens; "
            "put the checkpoint's own there"
        )
    like = checkpoints.fetch(SAME_TOKENS[model.dims.n_vocab], folder)
    said = rules(like)
    if pretrained.load(like).dims != model.dims:  # another model, whose heads are not known
        said = replace(said, alignment_heads=None)
    return Listener(model, WhisperTokenizer(like / "tokenizer.json"), said, packed=packed)
