"""The interfaces of the firewall with their addresses.

Source: OPNsense's core, Interfaces/Api/OverviewController.php; not seen on a
running firewall.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from .api import INTERFACES, Api


@dataclass(frozen=True, kw_only=True, slots=True)
class Interface:
    """One interface; None where it has none, or does not say."""

    id: str
    up: bool | None
    address: IPv4Address | None
    address6: IPv6Address | None
    mac: str | None
    gateways: bool


async def read_interfaces(api: Api) -> tuple[Interface, ...]:
    """Return the interfaces that are assigned. Raises MissingRightsError."""
    rows = (await api.read(INTERFACES)).get("rows")
    return tuple(_read(rows if isinstance(rows, list) else []))


def _read(rows: list[object]) -> Iterator[Interface]:
    for row in rows:
        if isinstance(row, dict) and row.get("identifier"):
            yield Interface(
                id=str(row["identifier"]),
                up=row["status"] == "up" if row.get("status") else None,
                address=_address(row, "addr4", IPv4Address),
                address6=_address(row, "addr6", IPv6Address),
                mac=str(row["macaddr"]) if row.get("macaddr") else None,
                gateways=bool(row.get("gateways")),
            )


def _address[Address: (IPv4Address, IPv6Address)](
    row: Mapping[str, object], key: str, kind: type[Address]
) -> Address | None:
    """Read `203.0.113.7/24`."""
    try:
        return kind(str(row.get(key) or "").partition("/")[0])
    except AddressValueError:
        return None
