"""Stage transcribe: what is said in anybody's recordings, and when, by OpenAI's Whisper.

Beside each recording, or in --folder, come NAME.txt with the text and NAME.json with every word's
time; with --picture also NAME-1.png and so on, of where each word was heard in each window.
"""

import argparse
import logging
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from focused_attention import results
from focused_attention.decoding.published import listener
from focused_attention.decoding.segments import Segment
from focused_attention.decoding.windows import Listener, Options, Window
from focused_attention.errors import UserError, run
from focused_attention.speech.stream import FRAMES_PER_SECOND, Recording
from focused_attention.speech.whisper_tokens import TASKS

SILENCE = -10.0  # log10 of the mel power that nothing has
FALLBACK = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # OpenAI's
log = logging.getLogger(__name__)


def asked(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="any format, any length"
    )
    parser.add_argument("--model", default="tiny.en", help="tiny.en, base, or a checkpoint's path")
    parser.add_argument("--language", help="its code, as en; left out: what is heard")
    parser.add_argument("--task", default="transcribe", choices=TASKS)
    parser.add_argument("--beam", type=int, help="width of the beam; left out: greedy")
    parser.add_argument("--folder", type=Path, help="where results go; left out: beside each file")
    parser.add_argument("--picture", action="store_true", help="draw where each word was heard")
    parser.add_argument("--fallback", action="store_true", help="write poor text anew, by chance")
    parser.add_argument(
        "--fresh", action="store_true", help="tell no window what was written before it"
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = asked(argv)
    if args.beam is not None and args.beam < 1:
        raise UserError(f"--beam {args.beam}: a beam is at least one hypothesis wide")
    targets = {file: (args.folder or file.parent) / file.stem for file in args.files}
    if len(set(targets.values())) < len(targets):
        raise UserError("two files would write the same results; transcribe them one by one")
    ears = listener(args.model, packed=True)
    options = Options(
        language=args.language,
        task=args.task,
        width=args.beam,
        previous_text=not args.fresh,
        temperatures=FALLBACK if args.fallback else FALLBACK[:1],
    )
    ears.check(options)
    failed = []
    for file, target in targets.items():
        try:
            transcribe(ears, file, target, options, args.model, args.picture)
        except UserError as error:
            if len(targets) == 1:
                raise
            log.error("error: %s", error)
            failed.append(file)
    if failed:
        raise UserError(f"{len(failed)} of {len(targets)} files were not transcribed, see above")


def transcribe(
    ears: Listener, file: Path, target: Path, options: Options, model: str, picture: bool
) -> None:
    """Write the text, the times and, if asked for, the pictures of one recording."""
    recording = Recording(file, ears.model.dims.n_mels)
    if recording.peak <= SILENCE:
        raise UserError(f"{file}: {recording.seconds:.1f} seconds of digital silence; name another")
    texts, segments, language = [], [], options.language
    for number, window in enumerate(shown(ears.listen(recording, options), recording), start=1):
        language = window.language
        texts += [segment.text for segment in window.segments]
        segments += [said(segment) for segment in window.segments]
        if picture and window.alignment is not None:
            draw(ears, recording, window, target.with_name(f"{target.name}-{number}.png"))
    text = "".join(texts).strip()
    about = {"file": file.name, "model": model, "language": language, "task": options.task}
    about |= {"seconds": recording.seconds, "text": text, "segments": segments}
    results.write_text(target.with_name(f"{target.name}.txt"), text + "\n")
    results.write_json(target.with_name(f"{target.name}.json"), about)
    log.info("%s: %s", file, text or "nothing is said")


def said(segment: Segment) -> dict:
    """A segment for the JSON file: text and times, of its words too."""
    words = [{k: v for k, v in asdict(word).items() if k != "tokens"} for word in segment.words]
    return {"start": segment.start, "end": segment.end, "text": segment.text, "words": words}


def shown(windows: Iterator[Window], recording: Recording) -> Iterator[Window]:
    """The same windows, with a bar on a terminal for how much of the recording is done."""
    from tqdm import tqdm

    hidden = not sys.stderr.isatty()
    with tqdm(
        total=round(recording.seconds), unit="s", desc=recording.file.name, disable=hidden
    ) as bar:
        for window in windows:
            yield window
            bar.update(round((window.start + window.frames) / FRAMES_PER_SECOND) - bar.n)


def draw(ears: Listener, recording: Recording, window: Window, target: Path) -> None:
    """Draw one window's spectrogram, words and cross-attention."""
    # Imported on use: only a picture needs matplotlib.
    import matplotlib.pyplot as plt

    from focused_attention.plots.heard import heard

    words = [(w.text, w.start, w.end) for segment in window.segments for w in segment.words]
    fig = heard(
        recording.window(window.start, window.frames, pad=False).numpy(),
        words,
        window.alignment.picture,
        [ears.tokenizer.decode([token]) for token in window.alignment.tokens],
        window.start / FRAMES_PER_SECOND,
        window.frames / FRAMES_PER_SECOND,
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(target, dpi=130)
    plt.close(fig)


if __name__ == "__main__":
    run(main)
