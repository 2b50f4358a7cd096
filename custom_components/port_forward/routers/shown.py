"""What others have written, made fit to be shown: descriptions, host names, names of devices.

Any device of the home can write them, in any number of characters, and wants
perhaps to look like something else: every text that comes from a router or
from the network goes through here on its way to a state, a form, a repair or
the log.
"""

import re
import unicodedata
from typing import Final

_LONGEST: Final = 100

# What formats, and what makes an address a link.
_ACTS: Final = re.compile(r"[\\`*_{}\[\]<>()#!|~&]|:(?=//)|(?<=www)\.|@")

NOTHING: Final = "–"  # noqa: RUF001  a dash, for what has no text


def clean(text: str, longest: int = _LONGEST) -> str:
    """Return one line of at most so many characters, without any that act instead of being seen.

    Those are control characters and line ends, what turns the direction of
    writing, what takes no room, and halves of characters, which JSON cannot hold.
    """
    # Of 64 KiB of spaces not all is looked at.
    looked_at = text[: 4 * longest]
    line = " ".join("".join(map(_seen, looked_at)).split())
    return line if len(line) <= longest else f"{line[: longest - 1].rstrip()}…"


def code(text: str) -> str:
    """Return Markdown that shows the text as it is.

    Inside a code span nothing means anything but the mark that ends it.
    """
    return f"`{clean(text).replace('`', "'") or NOTHING}`"


def as_text(text: str) -> str:
    """Return Markdown that shows a sentence, in which others' words may be, as it is."""
    return _ACTS.sub(r"\\\g<0>", " ".join(text.split()))


def _seen(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cf":
        return ""
    return " " if category[0] in "CZ" else character
