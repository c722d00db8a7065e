"""Opsound's music on hold: what a telephone exchange plays while nobody speaks.

Five instrumental pieces, 18 minutes at 16 kHz (G.722), by three artists. The language is ISO 639's
`zxx`, no linguistic content: every text is empty, so nothing here is ever prepared for training.

Licence: Creative Commons BY-SA 3.0, by permission of Paul Shuler (Macroform), Manolo Camp and Reno
Project; https://www.asterisk.org, which distributes them.
"""

import re
from pathlib import Path

from focused_attention.corpora.archives import Archive
from focused_attention.corpora.manifest import Utterance, check_pairs

LANGUAGES = ("zxx",)
VERSION = "2.03"
RELEASES = "https://downloads.asterisk.org/pub/telephony/sounds/releases"
CHECKSUMS = {
    "zxx": {
        "macroform-cold_day.g722": (
            "7b7482dbc9492c08008aa4a82cbf45077fd934dcc2743847c4beb35c043d4d17"
        ),
        "macroform-robot_dity.g722": (
            "70c6e459e6d10ddb6586724d8e9becf0852489931576969429bf35074e65e031"
        ),
        "macroform-the_simplicity.g722": (
            "456a19e856433b517d24748e7535c7b57bfe1d7db9204a1b1f1c62debb72d422"
        ),
        "manolo_camp-morning_coffee.g722": (
            "cecf01dd835a5de0ff1ac6f412a2189f35f02fb40f3f884046cbf1ea1ed85d4b"
        ),
        "reno_project-system.g722": (
            "d63c99fdd76bc51a9067addb168daad57c77335bb3b438e05fcb41175a3ae114"
        ),
    }
}


def archives(language: str) -> list[Archive]:
    """The pieces; all are in one archive."""
    return [
        Archive(
            package="asterisk-moh-opsound-g722",
            release=f"{RELEASES}/asterisk-moh-opsound-g722-{VERSION}.tar.gz",
            wanted=re.compile(r"(?:usr/share/asterisk/moh/)?([^/]+\.g722)"),
        )
    ]


def read(folder: Path, language: str) -> list[Utterance]:
    """Every piece, by key, without a text; the artist stands before the hyphen."""
    recordings = {file.stem: file for file in sorted(folder.glob("*.g722"))}
    pinned = {Path(name).stem for name in CHECKSUMS[language]}
    check_pairs(recordings, pinned, folder, unpaired=())
    return [
        Utterance(
            corpus="music",
            language=language,
            key=key,
            path=file,
            text="",
            translation=None,
            speaker="",
            licence="CC-BY-SA-3.0",
        )
        for key, file in recordings.items()
    ]
