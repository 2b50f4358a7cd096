"""Which port mappings that no forward accounts for are new: pure comparison, and its memory.

What was there at the first look is taken for granted. From then on whatever
comes is told once, and remembered until it goes or the user accepts it.
"""

import hashlib
import json
from collections.abc import Collection, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, TypedDict

import voluptuous as vol

from ..routers.model import PortMapping

# More than any look shows: a list is read up to row 1023, and an answer up to
# 1 MiB. So even who accepts all of a full list is asked about none of it again.
MOST_ACCEPTED: Final = 4096

_DIGITS: Final = 32


class MemoryJson(TypedDict):
    """The fingerprints, oldest first."""

    accepted: list[str]
    told: list[str]


_FINGERPRINTS = [vol.All(str, vol.Length(min=_DIGITS, max=_DIGITS))]
MEMORY = {vol.Required("accepted"): _FINGERPRINTS, vol.Required("told"): _FINGERPRINTS}
"""What `Memory.from_json` can read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What is new since the last look, by fingerprint."""

    appeared: tuple[str, ...]
    disappeared: tuple[str, ...]


def fingerprint(mapping: PortMapping, forward_id: str | None = None) -> str:
    """Return what is another one when anything of a mapping is: its rule, target or description.

    With the forward that it leads where, too: what was accepted before there
    was one shows as its switch since, and that is something new.

    Of 128 bits, because whoever opens ports chooses what goes into it, and must
    not be able to make one that was accepted.
    """
    parts = [mapping.key, mapping.target, mapping.description]
    written = json.dumps([*parts, forward_id] if forward_id else parts)
    return hashlib.sha256(written.encode()).hexdigest()[:_DIGITS]


class Memory:
    """What is known of the foreign mappings of one router, by their fingerprints.

    `accepted` are those that were there at the first look or that the user has
    accepted; they stay known when they go, and tell nothing when they come
    back. `told` are those that are there, and nobody has answered for.
    """

    def __init__(self, accepted: Iterable[str] = (), told: Iterable[str] = ()) -> None:
        """Take what is known, oldest first."""
        self._accepted = dict.fromkeys(accepted)
        self._told = dict.fromkeys(told)

    @classmethod
    def from_json(cls, data: MemoryJson) -> Memory:
        """Read what `to_json` gave."""
        return cls(data["accepted"], data["told"])

    def to_json(self) -> MemoryJson:
        """Return what is to be kept."""
        return {"accepted": list(self._accepted), "told": list(self._told)}

    @property
    def told(self) -> Collection[str]:
        """Those that nobody has answered for, oldest first."""
        return self._told.keys()

    def is_accepted(self, mark: str) -> bool:
        """Tell whether it was there at the first look, or was accepted."""
        return mark in self._accepted

    def compare(self, foreign: AbstractSet[str], ours: AbstractSet[str]) -> Change:
        """Take what is there now, and return what is new.

        `ours` are those that a forward accounts for: one that was told of and
        is among them was adopted, and has not gone.
        """
        appeared = tuple(
            mark for mark in foreign if mark not in self._accepted and mark not in self._told
        )
        gone = [mark for mark in self._told if mark not in foreign]
        for mark in gone:
            del self._told[mark]
        self._told.update(dict.fromkeys(appeared))
        return Change(
            appeared=appeared, disappeared=tuple(mark for mark in gone if mark not in ours)
        )

    def accept(self, marks: Iterable[str], present: AbstractSet[str]) -> None:
        """Take these for granted from now on; what is `present` is the last to be forgotten."""
        for mark in marks:
            self._told.pop(mark, None)
            self._accepted[mark] = None
        excess = len(self._accepted) - MOST_ACCEPTED
        if excess > 0:
            oldest = sorted(self._accepted, key=lambda mark: mark in present)
            for mark in oldest[:excess]:
                del self._accepted[mark]

    def forget(self, mark: str) -> None:
        """Forget one that was closed: if it comes back, it is told."""
        self._accepted.pop(mark, None)
