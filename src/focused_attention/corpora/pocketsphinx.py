"""Ten recordings that test PocketSphinx, 34 s at 16 kHz: a LibriVox reader, and playing cards.

Five sentences of Sense and Sensibility in a volunteer's voice, and five hands of cards that
somebody names. `transcription` and `cards.transcription` say what was said:

    <s> ten of clubs  </s> (001)

The package's other recordings are features or samples without a header.

Licence: two clauses of BSD, as all of https://github.com/cmusphinx/pocketsphinx (Carnegie Mellon
University and Alpha Cephei); LibriVox gives its recordings to the public domain.
"""

import re
from pathlib import Path

from focused_attention.corpora.archives import Archive
from focused_attention.corpora.manifest import Utterance, check_pairs
from focused_attention.errors import UserError

LANGUAGES = ("en",)
VERSION = "5.0.4"
TEXTS = ("librivox/transcription", "cards/cards.transcription")
CHECKSUMS = {
    "en": {
        "cards/001.wav": "899951e768666f27c8f8b1d4090b96fe7909cae9cec01bec0a5d5d1b8a8d566e",
        "cards/002.wav": "a3f9eae6fdb69a1231989e39a14d62388a6f52fb59666c76d95005318fadafec",
        "cards/003.wav": "00d283e46bc257ae479e4aa86593cadb541656eba1d19fc8abeece37f6a5a18b",
        "cards/004.wav": "4c44a8177f5b128b99f078cdeb918119933155574231f1833e8840d1af09c521",
        "cards/005.wav": "090f18f5f76cf8b2b43cd9e6b07823f4685a4742d9a36cd98b174a6586c18cf9",
        "cards/cards.transcription": (
            "5f11ecf64b8c45e4596d128293c66e695844854ad03cc79ffabde72dea1eba05"
        ),
        "librivox/transcription": (
            "4cc29e04a6dcd29242893b3ee20470e50b6ace45f4387bb619e5218145c66f99"
        ),
    }
    | {
        f"librivox/sense_and_sensibility_01_austen_64kb-{sentence}.wav": digest
        for sentence, digest in {
            "0870": "b0557cf95c974d930577e58e46b7f068c432a6e3afcc286563d88922b2a5315c",
            "0880": "fbec491ef00ee734a67f0ee318e98c51c157b479e1629ff4f4426861ecac0414",
            "0890": "5793ffbdee55fb8bfd284943a6866864c832d9d4accf2661cabd39915c84ee10",
            "0920": "40882414ef4cc51f3ff7a63bad0c8c87e7f595ffeb8209fbf756c8ebc5c28a59",
            "0930": "954adbf0b56ac8a148cbe77b39ca18d76b5f2a1e1f405565bd786ce3e68a68b7",
        }.items()
    }
}
_LINE = re.compile(r"<s>\s*(.*?)\s*</s>\s*\(([^)]+)\)")


def archives(language: str) -> list[Archive]:
    """PocketSphinx's test data, as a package of its own or in the release of the whole."""
    folder = "https://github.com/cmusphinx/pocketsphinx/archive"
    return [
        Archive(
            package="pocketsphinx-testdata",
            release=f"{folder}/v{VERSION}/pocketsphinx-{VERSION}.tar.gz",
            wanted=re.compile(
                r"(?:.*/)?test/data/((?:librivox|cards)/(?:[^/]+\.wav|(?:cards\.)?transcription))"
            ),
        )
    ]


def read(folder: Path, language: str) -> list[Utterance]:
    """Every recording, keyed by the set it is of and its name."""
    files = sorted(folder.glob("*/*.wav"))
    recordings = {file.relative_to(folder).with_suffix("").as_posix(): file for file in files}
    texts = {}
    for name in TEXTS:
        file = folder / name
        try:
            lines = file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{file}: cannot be read ({error}); run stage fetch again") from error
        for line in filter(None, lines):
            if not (match := _LINE.fullmatch(line.strip())):
                raise UserError(f"{file}: not `<s> text </s> (name)`: {line}")
            texts[f"{file.parent.name}/{match[2]}"] = match[1]
    check_pairs(recordings, texts, folder, unpaired=())
    return [
        Utterance(
            corpus="pocketsphinx",
            language=language,
            key=key,
            path=file,
            text=texts[key],
            translation=None,
            speaker=key.split("/")[0],
            licence="BSD-2-Clause",
        )
        for key, file in recordings.items()
    ]
