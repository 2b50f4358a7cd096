"""What faults do to a reply on its way to the client."""

from collections.abc import Callable

from ..quirks import UdpFault
from . import packet

TOO_LONG = packet.LONGEST + 4  # bytes
UNKNOWN_RESULT = 99
ENDLESS = 2**32 - 1  # seconds
AHEAD = 1_000_000  # seconds

# Where a field of a reply begins, and how many bytes it has: of PCP, and of NAT-PMP.
type _Field = tuple[int, int]

_RESULT: tuple[_Field, _Field] = ((3, 1), (2, 2))
_LIFETIME: tuple[_Field, _Field] = ((4, 4), (12, 4))
_EPOCH: tuple[_Field, _Field] = ((8, 4), (4, 4))
_INTERNAL_PORT: tuple[_Field, _Field] = ((40, 2), (8, 2))
_NONCE: tuple[_Field, _Field] = ((24, 12), (0, 0))

_CHANGES: dict[UdpFault, tuple[tuple[_Field, _Field], Callable[[int], int]]] = {
    UdpFault.UNKNOWN_RESULT: (_RESULT, lambda _: UNKNOWN_RESULT),
    UdpFault.NO_LIFETIME: (_LIFETIME, lambda _: 0),
    UdpFault.ENDLESS_LIFETIME: (_LIFETIME, lambda _: ENDLESS),
    UdpFault.EPOCH_BACK: (_EPOCH, lambda _: 0),
    UdpFault.EPOCH_AHEAD: (_EPOCH, lambda epoch: epoch + AHEAD),
    UdpFault.OTHER_NONCE: (_NONCE, lambda nonce: nonce ^ 1),
    UdpFault.OTHER_REQUEST: (_INTERNAL_PORT, lambda port: port ^ 1),
}


def damaged(fault: UdpFault | None, reply: bytes) -> list[bytes]:
    """Return the packets that arrive in the place of the reply."""
    if fault in _CHANGES:
        (pcp, pmp), change = _CHANGES[fault]
        return [_changed(reply, pcp if reply[0] == packet.VERSION else pmp, change)]
    match fault:
        case UdpFault.DROP_REPLY:
            return []
        case UdpFault.TWICE:
            return [reply, reply]
        case UdpFault.SHORT:
            reply = reply[: len(reply) // 2]
        case UdpFault.LONG:
            reply = reply.ljust(TOO_LONG, b"\0")
        case UdpFault.OTHER_OPCODE:
            reply = bytes([reply[0], reply[1] ^ 1]) + reply[2:]
    return [reply]


def _changed(reply: bytes, field: _Field, change: Callable[[int], int]) -> bytes:
    """Return the reply with another value in a field; as it is, if it has no such field."""
    start, size = field
    end = start + size
    if len(reply) < end:
        return reply
    value = change(int.from_bytes(reply[start:end])) & ((1 << 8 * size) - 1)
    return reply[:start] + value.to_bytes(size) + reply[end:]
