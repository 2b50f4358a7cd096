"""What has to be true of everything that comes out of a parser."""

from datetime import timedelta

from custom_components.port_forward.routers.errors import RouterError
from custom_components.port_forward.routers.model import PORT_MAX, PORT_MIN, PortMapping
from custom_components.port_forward.routers.upnp.soap import UpnpFault


def check_error(error: RouterError) -> None:
    """Make sure that an error can be shown as it is."""
    assert all(isinstance(value, str) for value in error.placeholders.values())
    detail = error.placeholders.get("detail", "")
    assert detail.isascii()
    assert detail.isprintable()
    assert len(detail) <= 120
    if isinstance(error, UpnpFault):
        assert 0 <= error.code <= 9999


def check_row(row: PortMapping) -> None:
    """Make sure that a row that a router shows is one mapping of real ports."""
    assert len(row.protocols) == 1
    assert len(row.external_ports) == 1
    assert PORT_MIN <= row.external_ports.first <= PORT_MAX
    if row.internal_ports is not None:
        assert len(row.internal_ports) == 1
        assert PORT_MIN <= row.internal_ports.first <= PORT_MAX
    assert row.internal_host
    assert row.internal_host == row.internal_host.strip()
    assert row.lease is None or timedelta(0) < row.lease <= timedelta(seconds=2**32 - 1)
