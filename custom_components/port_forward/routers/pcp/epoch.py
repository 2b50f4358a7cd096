"""The epoch: by it a server tells that it has lost its mappings."""

import logging
import secrets
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from datetime import datetime

from . import natpmp, packets

_LOGGER = logging.getLogger(__name__)

BOOT = "boot"
FILTER = "filter"
_LAST_EPOCH = "last_epoch"
"""Keys of `learned`: what `Epochs.boot` is; whether the server limits the source, `yes`, `no`, or
`ignored`; and the last epoch: version, seconds, when that was."""

_JUMPS_BELIEVED = 3
_STEADY_AGAIN = 5


def pcp_kept_state(before: int, now: int, elapsed: float) -> bool:
    """Tell by RFC 6887 section 8.5 whether the server kept its mappings.

    `before` and `now` are epochs, `elapsed` is the time between them on our
    own clock, all in seconds. Two packets may have overtaken each other, hence
    the second that it may go back; 2 s and a sixteenth are for clocks that
    count in steps and run differently.
    """
    if now < before - 1:
        return False
    passed = now - before
    return not (elapsed + 2 < passed - passed / 16 or passed + 2 < elapsed - elapsed / 16)


def natpmp_kept_state(before: int, now: int, elapsed: float) -> bool:
    """Tell by RFC 6886 section 3.6 whether the server kept its mappings.

    The server's clock may be slower than ours by an eighth, and 2 s late.
    """
    return now >= before + elapsed * 7 / 8 - 2


_CHECKS = {packets.VERSION: pcp_kept_state, natpmp.VERSION: natpmp_kept_state}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seen:
    version: int
    epoch: int
    monotonic: float | None
    wall: datetime


class Epochs:
    """What the epochs of one server tell, from reply to reply and over restarts of ours.

    `boot` names the time since the server last lost its mappings: it is
    another one afterwards. It is kept in `learned`, with the last epoch. With
    any jump, believed or not, it may be another router that answers: it has to
    be asked again whether it limits the source.
    """

    def __init__(self, learned: MutableMapping[str, str], on_loss: Callable[[], None]) -> None:
        """Take the driver's memory, with what an earlier process left in it.

        `on_loss` is called when the server has lost its mappings.
        """
        self._learned = learned
        self._on_loss = on_loss
        self._last = _read(learned.get(_LAST_EPOCH, ""))
        self._jumps = 0
        self._steady = 0

    @property
    def boot(self) -> str:
        """The name of the time since the server last lost its mappings."""
        return self._learned.setdefault(BOOT, secrets.token_hex(4))

    def renew_boot(self) -> None:
        """Take it that what the server held is lost, whatever told so."""
        self._learned[BOOT] = secrets.token_hex(4)
        self._on_loss()

    def observe(self, version: int, epoch: int, *, monotonic: float, wall: datetime) -> None:
        """Take the epoch of a reply, and find out whether the server has lost its mappings.

        The time that passed is taken from two clocks, and one that agrees is
        enough: the monotonic one stands still while the machine sleeps, the
        wall's is set after the start of a machine that has none of its own.
        Who speaks another version of the protocol than before is another server.
        """
        last = self._last
        self._last = _Seen(version=version, epoch=epoch, monotonic=monotonic, wall=wall)
        self._learned[_LAST_EPOCH] = f"{version} {epoch} {wall.isoformat()}"
        if last is None:
            return
        elapsed = [(wall - last.wall).total_seconds()]
        if last.monotonic is not None:
            elapsed.append(monotonic - last.monotonic)
        if last.version == version and any(
            _CHECKS[version](last.epoch, epoch, max(0.0, passed)) for passed in elapsed
        ):
            self._steady += 1
            if self._steady >= _STEADY_AGAIN:
                self._jumps = 0
        else:
            self._take_jump(last.epoch, epoch)

    def _take_jump(self, before: int, now: int) -> None:
        """One that goes back and forth tells nothing: two servers may share an address."""
        self._learned.pop(FILTER, None)
        self._jumps, self._steady = self._jumps + 1, 0
        if self._jumps <= _JUMPS_BELIEVED:
            self.renew_boot()
        elif self._jumps == _JUMPS_BELIEVED + 1:
            _LOGGER.warning(
                "The epoch of the router jumps back and forth, now from %s to %s: it is not "
                "believed until it has been steady for a while",
                before,
                now,
            )


def _read(text: str) -> _Seen | None:
    try:
        version, epoch, wall = text.split()
        seen = _Seen(
            version=int(version),
            epoch=int(epoch),
            monotonic=None,
            wall=datetime.fromisoformat(wall),
        )
    except ValueError:
        return None
    return seen if seen.version in _CHECKS and seen.wall.tzinfo else None
