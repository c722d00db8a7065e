"""Fish Fillets NG: the acted dialogue of a puzzle game, in Dutch (91 min) and Czech (96 min).

Two main speakers and many minor ones, Ogg Vorbis. A level's `dialogs_<language>.lua` gives every
line's key, the font of its speaker, its English text and its translated text:

    dialogId("vit-hs-klid1", "font_statue", "Citizens, please remain calm.")
    dialogStr("Waarde burgers, blijft alstublieft rustig.")

so that every line is speech translation into English as well. A recording is found by its level
and key; the languages share them.

Licence: GNU General Public License 2, http://fillets.sourceforge.net (ALTAR interactive, Ivo and
Pavel Danihelka and the game's translators).
"""

import re
from pathlib import Path

from focused_attention.corpora import checksums
from focused_attention.corpora.archives import Archive
from focused_attention.corpora.manifest import Utterance, check_pairs

LANGUAGES = ("cs", "nl")
VERSION = "1.0.1"
RELEASES = "https://downloads.sourceforge.net/fillets"

# Recordings that no dialogue mentions.
UNPAIRED = {
    "cs": "briefcase/kd-* fdto/nacekala2-m fdto/ted5-m fdto/ted6-m",
    "nl": "barrel/bar_v_fotka",
}
# Recordings without a sample of sound, whatever their text says.
SOUNDLESS = {"cs": (), "nl": ("elevator1/zd1-m-cesta", "gems/zav-v-sto")}
_STRING = r'"((?:[^"\\]|\\.)*)"'
_LINE = re.compile(
    rf"dialogId\(\s*{_STRING},\s*{_STRING},\s*{_STRING}\s*\)\s*dialogStr\(\s*{_STRING}\s*\)"
)


def archives(language: str) -> list[Archive]:
    """The recordings of a language, and its texts out of the data of all languages."""

    def archive(name: str, wanted: str) -> Archive:
        return Archive(
            package=name,
            release=f"{RELEASES}/{name}-{VERSION}.tar.gz",
            wanted=re.compile(rf"(?:.*/)?({wanted})"),
        )

    return [
        archive(f"fillets-ng-data-{language}", rf"sound/\w+/{language}/[^/]+\.ogg"),
        archive("fillets-ng-data", rf"script/\w+/dialogs_{language}\.lua"),
    ]


def read(folder: Path, language: str) -> list[Utterance]:
    """Every recorded line, keyed by level and name; a few have an empty text."""
    files = sorted(folder.glob(f"sound/*/{language}/*.ogg"))
    recordings = {f"{file.parts[-3]}/{file.stem}": file for file in files}
    lines = {
        f"{file.parent.name}/{name}": line
        for file in sorted(folder.glob(f"script/*/dialogs_{language}.lua"))
        for name, *line in _strings(file)
    }
    # Most levels also have lines that are only shown; what is pinned as a recording is spoken.
    pinned = [Path(name) for name in checksums("fillets", language) if name.endswith(".ogg")]
    spoken = {f"{path.parts[-3]}/{path.stem}" for path in pinned} & lines.keys()
    check_pairs(recordings, spoken, folder / "script", unpaired=UNPAIRED[language].split())
    utterances = []
    for key, file in recordings.items():
        font, english, text = lines.get(key, ("", "", ""))
        utterances.append(
            Utterance(
                corpus="fillets",
                language=language,
                key=key,
                path=file,
                text="" if key in SOUNDLESS[language] else text,
                translation=english or None,
                speaker=font.removeprefix("font_"),
                licence="GPL-2.0",
            )
        )
    return utterances


def _strings(file: Path) -> list[tuple[str, ...]]:
    """(name, font, English text, text) of every line of a level's dialogue."""
    found = _LINE.findall(file.read_text("utf-8"))
    return [tuple(re.sub(r"\\(.)", r"\1", string) for string in line) for line in found]
