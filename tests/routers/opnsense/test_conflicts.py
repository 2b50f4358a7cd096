"""OPNsense takes any number of rules for one port: we have to see it ourselves."""

from typing import Any

import pytest

from custom_components.port_forward.routers.errors import PortConflictError
from custom_components.port_forward.routers.model import PortRange, Protocol

from ..forwards import forward
from .home import CAMERA, HOUR, Home

TCP_AND_UDP = (Protocol.TCP, Protocol.UDP)


@pytest.mark.parametrize(
    ("ports", "fields"),
    [
        ("8443", {}),
        ("8000-9000", {}),
        ("8440-8443", {"protocol": "tcp/udp"}),
        ("", {"protocol": "", "local-port": ""}),
        ("8443", {"interface": ""}),
        ("8443", {"interface": "lan,wan"}),
        ("8443", {"ipprotocol": "inet46"}),
        ("8443", {"nordr": "1"}),
        ("8443", {"source": {"network": "203.0.113.5"}}),
        ("8443", {"source": {"network": "friends"}}),
        ("8443", {"destination": {"network": ""}}),
        ("8443", {"destination": {"network": "203.0.113.7"}}),
        ("8443", {"destination": {"network": "198.51.100.1", "not": "1"}}),
        # The same target, but not by us: still somebody else's.
        ("8443", {"target": "127.0.0.1", "local-port": "8443"}),
        ("8443", {"descr": "[ha-pf:camera1] pretends", "target": CAMERA}),
        ("8443", {"descr": "[ha-pf:another1]", "target": CAMERA}),
    ],
)
async def test_somebody_has_the_port(home: Home, ports: str, fields: dict[str, Any]) -> None:
    home.firewall.table.aliases["friends"] = "Friends"
    home.add_foreign(ports, **fields)
    before = home.saved()
    with pytest.raises(PortConflictError) as raised:
        await home.driver.open(forward(8443), HOUR)
    assert raised.value.placeholders["port"] == "8443"
    assert raised.value.placeholders["protocol"] == "TCP"
    assert raised.value.left == ()
    assert home.saved() == before
    assert not home.firewall.requests["apply"]


async def test_the_holder_is_named(home: Home) -> None:
    home.add_foreign("8000-9000", protocol="tcp/udp")
    with pytest.raises(PortConflictError) as raised:
        await home.driver.open(forward(8443), HOUR)
    assert raised.value.placeholders["holder"] == f"{CAMERA}:80 (Camera by hand)"


async def test_a_name_for_a_port_is_that_port(home: Home) -> None:
    home.add_foreign("https")
    with pytest.raises(PortConflictError):
        await home.driver.open(forward(443), HOUR)


async def test_an_automatic_rule_holds_its_port(home: Home) -> None:
    """With a single interface, the anti-lockout rules are on the WAN."""
    home.firewall.table.lockout = {"wan": ("443", "80")}
    with pytest.raises(PortConflictError) as raised:
        await home.driver.open(forward(443), HOUR)
    assert raised.value.placeholders["holder"] == "the firewall itself (Anti-Lockout Rule)"
    assert (await home.driver.snapshot()).mappings == ()


@pytest.mark.parametrize(
    ("ports", "fields"),
    [
        ("8442", {}),
        ("8443", {"protocol": "udp"}),
        ("8443", {"interface": "lan"}),
        ("8443", {"disabled": "1"}),
        ("8443", {"ipprotocol": "inet6", "target": "2001:db8::5"}),
        ("8443", {"source": {"network": "198.51.100.0/24"}}),
        ("8443", {"destination": {"network": "203.0.113.99"}}),
        ("web_ports", {}),
    ],
)
async def test_rules_for_other_packets(home: Home, ports: str, fields: dict[str, Any]) -> None:
    home.firewall.table.aliases["web_ports"] = "Web"
    home.add_foreign(ports, **fields)
    (granted,) = await home.driver.open(forward(8443, source="203.0.113.0/24"), HOUR)
    assert granted.enabled
    await home.driver.close(granted)
    assert len(home.saved()) == 1


async def test_ranges_and_protocols_overlap_in_part(home: Home) -> None:
    home.add_foreign(8010, protocol="udp")
    with pytest.raises(PortConflictError):
        await home.driver.open(
            forward(PortRange(first=8000, last=8010), protocols=TCP_AND_UDP), HOUR
        )
    await home.driver.open(forward(PortRange(first=8000, last=8009), protocols=TCP_AND_UDP), HOUR)


async def test_ipv6_to_another_host_is_no_conflict(home: Home) -> None:
    six = {"ipprotocol": "inet6", "target": "2001:db8::5", "local-port": "8443"}
    home.add_foreign(8443, **six, destination={"network": "2001:db8::5"})
    home.add_foreign(8443, **six)
    await home.driver.open(forward(8443, host=None, host6="2001:db8::10"), HOUR)
    home.add_foreign(9443, **six, destination={"network": "2001:db8::/64"})
    with pytest.raises(PortConflictError):
        await home.driver.open(forward(9443, host=None, host6="2001:db8::10"), HOUR)


async def test_somebody_is_faster_between_look_and_add(home: Home) -> None:
    def on_request(action: str) -> None:
        if action == "addRule":
            home.firewall.on_request = None
            home.add_foreign(8443)

    home.firewall.on_request = on_request
    with pytest.raises(PortConflictError):
        await home.driver.open(forward(8443), HOUR)
    assert home.saved() == [("tcp", "", "8443", CAMERA, "0")]


async def test_another_forward_of_ours_has_the_port(home: Home) -> None:
    (first,) = await home.driver.open(forward(8443, forward_id="door"), HOUR)
    with pytest.raises(PortConflictError):
        await home.driver.open(forward(8443, host=CAMERA), HOUR, ours=[])
    assert (await home.driver.snapshot()).find(first) == first
