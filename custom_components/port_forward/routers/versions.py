"""Which version of its software a router has."""

import re

from .errors import TooOldError


def check_version(version: str, needed: tuple[int, ...], *, product: str, host: str) -> None:
    """Raise TooOldError for a version before `needed`, and for none at all.

    A version is such as `7.24`, `7.9rc1` or `9.5.21`.
    """
    parts = (re.match(r"\d+", part) for part in version.split("."))
    if tuple(int(found[0]) for found in parts if found) < needed:
        first = f"{product} {'.'.join(map(str, needed))}"
        raise TooOldError(host=host, version=version or "?", needed=first)
