from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

import pytest

from custom_components.port_forward.routers.model import (
    Capabilities,
    Forward,
    Leases,
    Listing,
    PortMapping,
    PortRange,
    Protocol,
    Snapshot,
)

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MAPPING = PortMapping(
    protocols=(Protocol.TCP,),
    external_ports=PortRange.single(8080),
    internal_host="192.0.2.5",
    internal_ports=PortRange.single(80),
)
FORWARD = Forward(
    id="a",
    name="A",
    internal_host=IPv4Address("192.0.2.5"),
    protocols=(Protocol.TCP,),
    external_ports=PortRange.single(8080),
    internal_ports=PortRange.single(80),
)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("1", 1, 1),
        ("65535", 65535, 65535),
        ("8000-8010", 8000, 8010),
        (" 8000 - 8010 ", 8000, 8010),
        ("80-80", 80, 80),
    ],
)
def test_port_range_parses(text: str, first: int, last: int) -> None:
    assert PortRange.parse(text) == PortRange(first=first, last=last)
    assert PortRange.parse(str(PortRange.parse(text))) == PortRange(first=first, last=last)


@pytest.mark.parametrize(
    "text", ["", "-", "80-", "-80", "0", "65536", "81-80", "1-2-3", "٣", "+1", "1_0", "a", "80.0"]
)
def test_port_range_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"port|range"):
        PortRange.parse(text)


def test_port_range_is_counted_walked_and_compared() -> None:
    ports = PortRange(first=10, last=12)
    assert len(ports) == 3
    assert list(ports) == [10, 11, 12]
    assert ports.overlaps(PortRange(first=12, last=20))
    assert not ports.overlaps(PortRange(first=13, last=20))
    assert str(ports) == "10-12"
    assert str(PortRange.single(10)) == "10"


@pytest.mark.parametrize("protocols", [(), (Protocol.TCP, Protocol.TCP)])
def test_forward_needs_each_protocol_once(protocols: tuple[Protocol, ...]) -> None:
    with pytest.raises(ValueError, match="protocols"):
        replace(FORWARD, protocols=protocols)


def test_forward_needs_as_many_ports_inside_as_outside() -> None:
    with pytest.raises(ValueError, match="number"):
        replace(FORWARD, external_ports=PortRange(first=1, last=2))


def test_an_adopted_rule_may_be_one_that_we_would_not_make() -> None:
    """A range that leads to one port, to a host that only the router knows by name."""
    rule = replace(MAPPING, external_ports=PortRange(first=1, last=2), internal_host="nas")
    forward = replace(FORWARD, external_ports=rule.external_ports, internal_host=None, adopted=rule)
    assert forward.adopted == rule


@pytest.mark.parametrize("source", ["", "*", "0.0.0.0", "0.0.0.0/0"])  # noqa: S104
def test_all_spellings_of_any_source_are_one_key(source: str) -> None:
    assert replace(MAPPING, allowed_source=source).key == MAPPING.key == "tcp/8080/"


def test_key_tells_rules_apart() -> None:
    others = (
        replace(MAPPING, allowed_source="198.51.100.1"),
        replace(MAPPING, protocols=(Protocol.UDP,)),
        replace(MAPPING, protocols=(Protocol.UDP, Protocol.TCP)),
        replace(MAPPING, external_ports=PortRange.single(8081)),
    )
    assert len({MAPPING.key, *(other.key for other in others)}) == 5
    assert not any(MAPPING.same_rule(other) for other in others)


def test_same_rule_is_key_and_target_and_nothing_else() -> None:
    assert MAPPING.same_rule(replace(MAPPING, description="x", lease=timedelta(1), enabled=False))
    assert not MAPPING.same_rule(replace(MAPPING, internal_host="192.0.2.6"))
    assert not MAPPING.same_rule(replace(MAPPING, internal_ports=PortRange.single(81)))
    assert replace(MAPPING, internal_ports=None).target == "192.0.2.5:?"


def test_find_prefers_the_row_that_leads_where_wanted() -> None:
    other = replace(MAPPING, internal_host="192.0.2.6")
    assert _snapshot(other, MAPPING).find(MAPPING) is MAPPING
    assert _snapshot(other).find(MAPPING) is other
    assert _snapshot().find(MAPPING) is None


@pytest.mark.parametrize(
    ("before", "minutes", "after", "expected"),
    [
        (1000, 1, 1060, False),
        (1000, 1, 1000, False),  # it does not count
        (1000, 1, 0, True),
        (1000, 1, 999, True),
        (1000, 60, 1000 + 3600, False),
        (1000, 60, 1000 + 3600 - 119, False),
        (1000, 60, 1000 + 3600 - 121, True),
        (1000, 60, 1900, True),  # up for longer than then, and yet not all the time
        (1000, 60, 99999, False),
        (None, 1, 1060, False),
        (1000, 1, None, False),
    ],
)
def test_restarted_since(
    before: int | None, minutes: int, after: int | None, *, expected: bool
) -> None:
    earlier = replace(_snapshot(), uptime=_seconds(before))
    later = replace(earlier, uptime=_seconds(after), taken_at=NOON + timedelta(minutes=minutes))
    assert later.restarted_since(earlier) is expected


@pytest.mark.parametrize("leases", Leases)
def test_a_router_closes_by_itself_only_where_it_keeps_leases(leases: Leases) -> None:
    capabilities = Capabilities(
        listing=Listing.FULL,
        leases=leases,
        allowed_source=None,
        other_hosts=None,
        port_ranges=False,
        both_protocols=False,
    )
    assert capabilities.closes_by_itself is (leases is Leases.KEPT)


def _snapshot(*mappings: PortMapping) -> Snapshot:
    return Snapshot(
        taken_at=NOON, external_address=None, connected=None, uptime=None, mappings=mappings
    )


def _seconds(seconds: int | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
