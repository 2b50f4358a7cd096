"""Whether the internet can reach the router, from what it shows."""

from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address

import pytest

from custom_components.port_forward.reach.reachability import Reachability, reachability
from custom_components.port_forward.routers.model import Snapshot

PUBLIC, OTHER = "203.0.113.7", "198.51.100.7"


def judged(
    address: str | None,
    *,
    connected: bool | None = True,
    address6: str | None = None,
    seen: str | None = None,
) -> Reachability:
    """Return what is said of a router that shows this."""
    snapshot = Snapshot(
        taken_at=datetime(2027, 1, 1, tzinfo=UTC),
        external_address=IPv4Address(address) if address else None,
        external_address6=IPv6Address(address6) if address6 else None,
        connected=connected,
        uptime=None,
        mappings=(),
    )
    return reachability(snapshot, IPv4Address(seen) if seen else None)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", "reachable"),
        ("203.0.113.7", "reachable"),
        ("9.255.255.255", "reachable"),
        ("10.0.0.0", "private"),
        ("10.255.255.255", "private"),
        ("11.0.0.0", "reachable"),
        ("172.15.255.255", "reachable"),
        ("172.16.0.0", "private"),
        ("172.31.255.255", "private"),
        ("172.32.0.0", "reachable"),
        ("192.168.0.0", "private"),
        ("192.168.255.255", "private"),
        ("192.169.0.0", "reachable"),
        ("100.63.255.255", "reachable"),
        ("100.64.0.0", "cgnat"),
        ("100.127.255.255", "cgnat"),
        ("100.128.0.0", "reachable"),
        ("0.0.0.0", "reserved"),  # noqa: S104  nothing is bound
        ("127.0.0.1", "reserved"),
        ("169.254.7.7", "reserved"),
        ("192.0.0.2", "reserved"),
        ("224.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
    ],
)
@pytest.mark.parametrize("connected", [True, None])
def test_by_address(address: str, expected: str, *, connected: bool | None) -> None:
    assert judged(address, connected=connected) == expected
    # What the internet sees changes nothing where the address alone tells.
    if expected != "reachable":
        assert judged(address, connected=connected, seen=OTHER) == expected


def test_router_that_is_not_connected() -> None:
    assert judged(None, connected=False) is Reachability.NOT_CONNECTED
    # The old address, and what was seen then, tell nothing.
    assert judged(PUBLIC, connected=False, seen=PUBLIC) is Reachability.NOT_CONNECTED


def test_router_without_an_address() -> None:
    assert judged(None) is Reachability.NO_ADDRESS
    assert judged(None, address6="2a11:2233::5") is Reachability.IPV6_ONLY
    assert judged("100.64.0.2", address6="2a11:2233::5") is Reachability.CGNAT


@pytest.mark.parametrize("address6", [None, "2a11:2233::5"])
def test_router_that_does_not_tell(address6: str | None) -> None:
    assert judged(None, connected=None, address6=address6) is Reachability.UNKNOWN


def test_what_the_internet_sees() -> None:
    assert judged(PUBLIC, seen=PUBLIC) is Reachability.REACHABLE
    assert judged(PUBLIC, seen=OTHER) is Reachability.DOUBLE_NAT


def test_state() -> None:
    states = {reason: reason.is_reachable for reason in Reachability}
    assert {reason for reason, state in states.items() if state} == {"reachable", "ipv6_only"}
    assert {reason for reason, state in states.items() if state is None} == {"unknown"}
