"""What a mapping carries in its `id`: its nonce, and how it was granted.

No server of these protocols lists its mappings. What it holds is what it has
granted, for as long as the lease lasts and the server keeps its state. Kept in
the ledger with the mapping, this is known after a restart of ours too.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Self, override

from ..model import PortMapping
from . import natpmp, packets
from .packets import NONCE_LENGTH

_VERSIONS = (natpmp.VERSION, packets.VERSION)


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """The nonce of a mapping, and the rest None as long as it was only planned.

    `version` is that of the protocol it was made with, `boot` the one of
    `Epochs` then; `until` is when the lease ends. `external_address` is None
    where the server does not tell it.
    """

    nonce: bytes
    version: int | None = None
    boot: str | None = None
    until: datetime | None = None
    external_address: IPv4Address | IPv6Address | None = None

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read what `str` wrote; None for anything else, such as the id of another driver."""
        try:
            nonce, *rest = text.split()
            planned = cls(nonce=bytes.fromhex(nonce))
            if len(planned.nonce) != NONCE_LENGTH:
                return None
            if not rest:
                return planned
            version, boot, until, address = rest
            if int(version) not in _VERSIONS:
                return None
            return replace(
                planned,
                version=int(version),
                boot=boot,
                until=datetime.fromtimestamp(float(until), UTC),
                external_address=None if address == "-" else ip_address(address),
            )
        except ValueError, OverflowError, OSError:
            return None

    @override
    def __str__(self) -> str:
        """Return the text for `PortMapping.id`."""
        if self.until is None:
            return self.nonce.hex()
        until = int(self.until.timestamp())
        address = self.external_address or "-"
        return f"{self.nonce.hex()} {self.version} {self.boot} {until} {address}"

    def stands(self, boot: str, now: datetime) -> bool:
        """Tell whether the server should hold it now, as far as we know."""
        return self.boot == boot and self.until is not None and now < self.until


def nonces(*mappings: PortMapping | None) -> set[bytes]:
    """Return the nonces of mappings of ours."""
    grants = (Grant.parse(mapping.id) for mapping in mappings if mapping)
    return {grant.nonce for grant in grants if grant}
