"""Asterisk's core prompts: what a telephone exchange says, by one professional speaker a language.

131 minutes in five languages at 16 kHz (G.722): digits, numbers, letters, weekdays and months as
single recordings, and sentences. Keys are parallel: `vm-goodbye` is the same sentence in every
language, so the English text of a key is the translation of its other languages.

Licence: Creative Commons BY-SA 3.0 (Russian: BY 3.0), https://www.asterisk.org. Recorded by
Allison Smith (en, es), June Wallack (fr), Carlo Flora (it) and Maxim Topal's IvrvoiceRU (ru).
"""

import re
from fnmatch import fnmatchcase
from pathlib import Path

from focused_attention.corpora.archives import Archive
from focused_attention.corpora.manifest import Utterance
from focused_attention.errors import UserError

LANGUAGES = ("en", "es", "fr", "it", "ru")
SPEAKERS = {"en": "allison", "es": "allison", "fr": "june", "it": "carlo", "ru": "ivrvoice"}
VERSION = "1.6.1"
RELEASES = "https://downloads.asterisk.org/pub/telephony/sounds/releases"

# Where the published lists of texts and the recordings disagree. Anything else is an error.
TEXTS_WITHOUT_AUDIO = {
    "en": ("pls-try-call-later",),
    "es": ("digits/21-and",),
    "fr": ("dollars", "is", "num-was-successfully", "number", "number-not-answering"),
    "it": ("conf-mute", "pls-try-call-later"),
}
AUDIO_WITHOUT_TEXT = {
    "es": ("confbridge-leave", "digits/20-and", "digits/at_s", "dir-first"),
}


def archives(language: str) -> list[Archive]:
    """The recordings, the list of texts, and the English list (it is the translation)."""

    def archive(package: str, release: str, wanted: str) -> Archive:
        return Archive(
            package=f"asterisk-core-sounds-{package}",
            release=f"{RELEASES}/asterisk-core-sounds-{release}-{VERSION}.tar.gz",
            wanted=re.compile(wanted),
        )

    recordings = r"(?:usr/share/asterisk/sounds/[^/]+/)?(.+\.g722)"
    texts = r"(?:.*/)?(core-sounds-{}\.txt)(?:\.gz)?"
    return [
        archive(f"{language}-g722", f"{language}-g722", recordings),
        *(
            archive(code, f"{code}-g722", texts.format(code))
            for code in dict.fromkeys([language, "en"])
        ),
    ]


def read(folder: Path, language: str) -> list[Utterance]:
    """Every recording of a language, by key; those without speech have an empty text."""
    recordings = {
        file.relative_to(folder).with_suffix("").as_posix(): file for file in folder.rglob("*.g722")
    }
    texts = _texts(folder / f"core-sounds-{language}.txt", recordings)
    english = _texts(folder / "core-sounds-en.txt", {})
    utterances = []
    for key, file in sorted(recordings.items()):
        text = texts.pop(key, None)
        if text is None:
            if not any(fnmatchcase(key, known) for known in AUDIO_WITHOUT_TEXT.get(language, ())):
                raise UserError(
                    f"{file}: audio without transcript; add a line '{key}: ...' to {folder / f'core-sounds-{language}.txt'}"
                )
            text = ""
        utterances.append(
            Utterance(
                corpus="asterisk",
                language=language,
                key=key,
                path=file,
                text=text,
                translation=english.get(key) if language != "en" else None,
                speaker=SPEAKERS[language],
                licence="CC-BY-3.0" if language == "ru" else "CC-BY-SA-3.0",
            )
        )
    for key in texts:
        if key not in TEXTS_WITHOUT_AUDIO.get(language, ()):
            raise UserError(
                f"{folder / key}.g722: no such recording, but it has a transcript; "
                "run stage fetch again"
            )
    return utterances


def _texts(file, recordings):
    texts = {}
    for line in file.read_text("utf-8-sig").splitlines():
        key, colon, text = line.partition(":")
        if colon and not line.startswith(";"):
            texts[key.strip()] = text.strip()
    return texts
