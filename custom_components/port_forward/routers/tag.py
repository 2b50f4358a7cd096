"""The description that our mappings carry on the router, and the tag in it."""

import re
import unicodedata

from .model import Forward, Owner

# Longer ones are cut by some routers, above 256 answered with 501, empty ones refused (Q42).
_LONGEST = 63
_TAG = re.compile(r"\[ha-pf:([A-Za-z0-9-]+)\]")
_UNSAFE = re.compile(r"[^A-Za-z0-9 ._-]+")


def description_of(forward: Forward) -> str:
    """Return `name [ha-pf:home-id]` in 1 to 63 ASCII characters that no router garbles."""
    tag = f"[ha-pf:{forward.owner}]"
    ascii_name = unicodedata.normalize("NFKD", forward.name).encode("ascii", "ignore").decode()
    name = " ".join(_UNSAFE.sub(" ", ascii_name).split())
    if not any(c.isalnum() for c in name):
        name = "Forward"
    return f"{name[: max(0, _LONGEST - len(tag) - 1)].rstrip()} {tag}".strip()


def owner_in(description: str) -> Owner | None:
    """Return whose forward a mapping was made for, whatever surrounds the tag.

    A tag that the router cut is none: half an id could be another's.
    """
    found = _TAG.search(description)
    return Owner.parse(found[1]) if found else None
