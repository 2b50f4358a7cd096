"""What a router says of a lease, and whether that counts."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from .model import PortMapping

# Nobody grants that little: VPN providers give 60 s (ProtonVPN), miniupnpd's PCP 120 s.
SHORTEST: Final = timedelta(seconds=10)
_COARSE: Final = timedelta(seconds=1)


def counts(reported: timedelta, asked: timedelta, took: timedelta = timedelta(0)) -> bool:
    """Return whether a reported lease is one; `asked` zero is for ever, `took` the request.

    Some routers show a second for every row, whatever was asked. Believed, that
    would be renewed several times a second. Near its end an opening asks for
    less than that itself.
    """
    return reported >= SHORTEST or (bool(asked) and reported + took + _COARSE >= asked)


def believed(row: PortMapping, asked: timedelta, took: timedelta = timedelta(0)) -> PortMapping:
    """Return a row that was just made, without its lease if that does not count."""
    if row.lease is None or counts(row.lease, asked, took):
        return row
    return replace(row, lease=None)
