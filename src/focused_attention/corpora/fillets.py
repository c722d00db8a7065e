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

from focused_attention.corpora.archives import Archive
from focused_attention.corpora.manifest import Utterance
from focused_attention.errors import UserError

LANGUAGES = ("cs", "nl")
VERSION = "1.0.1"
RELEASES = "https://downloads.sourceforge.net/fillets"


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
