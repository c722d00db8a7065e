"""Asterisk's core prompts: what a telephone exchange says, by four professional speakers.

131 minutes in five languages at 16 kHz (G.722): digits, numbers, letters, weekdays and months as
single recordings, and sentences. Keys are parallel: `vm-goodbye` is the same sentence in every
language, so the English text of a key is the translation of its other languages.

Licence: Creative Commons BY-SA 3.0 (Russian: BY 3.0), https://www.asterisk.org. Recorded by
Allison Smith (en, es), June Wallack (fr), Carlo Flora (it) and Maxim Topal's IvrvoiceRU (ru).
"""

import re
from pathlib import Path

from focused_attention.corpora.archives import Archive
from focused_attention.corpora.manifest import Utterance, check_pairs
from focused_attention.errors import UserError

LANGUAGES = ("en", "es", "fr", "it", "ru")
SPEAKERS = {"en": "allison", "es": "allison", "fr": "june", "it": "carlo", "ru": "ivrvoice"}
VERSION = "1.6.1"
RELEASES = "https://downloads.asterisk.org/pub/telephony/sounds/releases"

# Lines of the published lists that name another key than their recording's, or no speech.
CORRECTED_KEYS = {
    "es": {
        "confbridge-lock-out-0": "confbridge-lock-out",
        "digits/1f": "digits/1F",
        "digits/1m": "digits/1M",
    },
    "fr": {"confbridge-lock-out-0": "confbridge-lock-out"},
    "it": {"letters/O": "letters/o", "phonetic/C_P": "phonetic/c_p"},
}
CORRECTED_TEXTS = {
    "es": {"digits/0": "cero", "digits/10": "diez"},  # both are listed as digits/0
    "it": {"confbridge-leave": ""},  # a beep, described without brackets
}
# Recordings that the lists leave out, and lines without a recording.
UNPAIRED = {
    "en": "pls-try-call-later",
    "es": "confbridge-leave digits/20-and digits/21-and digits/at_s dir-first letters/ascii* "
    "silence/*",
    "fr": "beep confbridge-leave digits/at digits/dollars digits/et dir-first dollars is "
    "letters/ascii* letters/asterisk letters/zed num-was-successfully number "
    "number-not-answering pls-try-call-later silence/*",
    "it": "conf-mute digits/a digits/millions pls-try-call-later",
    "ru": "letters/aa letters/ww phone phonetic/k_p2",
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
    files = sorted(folder.rglob("*.g722"))
    recordings = {file.relative_to(folder).with_suffix("").as_posix(): file for file in files}
    source = folder / f"core-sounds-{language}.txt"
    texts = read_texts(source, language)
    english = read_texts(folder / "core-sounds-en.txt", "en") if language != "en" else {}
    check_pairs(recordings, texts, source, unpaired=UNPAIRED[language].split())
    return [
        Utterance(
            corpus="asterisk",
            language=language,
            key=key,
            path=file,
            text=texts.get(key, ""),
            translation=english.get(key),
            speaker=SPEAKERS[language],
            licence="CC-BY-3.0" if language == "ru" else "CC-BY-SA-3.0",
        )
        for key, file in recordings.items()
    ]


def read_texts(file: Path, language: str) -> dict[str, str]:
    """key -> text of a published list: `key: text` lines, comments after a semicolon."""
    texts: dict[str, str] = {}
    corrected = CORRECTED_TEXTS.get(language, {})
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read ({error}); run stage fetch again") from error
    for line in lines:
        key, colon, text = line.partition(":")
        key = CORRECTED_KEYS.get(language, {}).get(key.strip(), key.strip())
        if not colon or line.startswith(";"):
            continue
        if key in texts and key not in corrected:
            raise UserError(f"{file}: two texts for {key}; leave one")
        texts[key] = text.strip()
    return texts | corrected
