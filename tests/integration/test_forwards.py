"""A forward as it was typed in, read or refused at the field that is wrong."""

from collections.abc import Mapping
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from types import MappingProxyType
from typing import Any

import pytest
from homeassistant.config_entries import ConfigSubentry

from custom_components.port_forward.const import SUBENTRY_TYPE_FORWARD
from custom_components.port_forward.forwards import (
    FieldError,
    ForwardSettings,
    IpVersion,
    check_free,
    check_name,
)
from custom_components.port_forward.routers.model import Forward, PortRange, Protocol
from tests.translations import rendered

TYPED = {
    "internal_host": "192.168.1.20",
    "protocol": "tcp",
    "internal_ports": "80",
    "external_ports": "8080",
}


def read(**changes: object) -> ForwardSettings:
    return ForwardSettings.from_input(TYPED | changes)


def refused(data: Mapping[str, Any]) -> tuple[str, str]:
    """Return the field, and what is said there."""
    with pytest.raises(FieldError) as raised:
        ForwardSettings.from_input(data)
    error = raised.value
    assert str(error) == f"{error.field}: {error.key}"
    text = rendered(f"config_subentries.forward.error.{error.key}", error.placeholders)
    return error.field, text


def stored(title: str, **changes: str) -> ConfigSubentry:
    return ConfigSubentry(
        data=MappingProxyType(TYPED | changes),
        subentry_type=SUBENTRY_TYPE_FORWARD,
        title=title,
        unique_id=None,
    )


def test_everything_given() -> None:
    settings = read(protocol="both", external_ports="9000-9002", internal_ports="80-82")
    assert settings == ForwardSettings(
        internal_host="192.168.1.20",
        ip_version=IpVersion.IPV4,
        protocols=(Protocol.TCP, Protocol.UDP),
        external_ports=PortRange(first=9000, last=9002),
        internal_ports=PortRange(first=80, last=82),
        any_external_port=False,
        allowed_source=None,
        close_after=timedelta(hours=1),
    )
    assert settings.forward(
        "id", "Camera", (IPv4Address("192.168.1.20"), None), "home1"
    ) == Forward(
        id="id",
        home="home1",
        name="Camera",
        internal_host=IPv4Address("192.168.1.20"),
        protocols=(Protocol.TCP, Protocol.UDP),
        external_ports=PortRange(first=9000, last=9002),
        internal_ports=PortRange(first=80, last=82),
    )


@pytest.mark.parametrize(("protocol", "protocols"), [("tcp", ("tcp",)), ("udp", ("udp",))])
def test_one_protocol(protocol: str, protocols: tuple[str, ...]) -> None:
    assert read(protocol=protocol).protocols == protocols


@pytest.mark.parametrize("external", [{}, {"external_ports": ""}, {"external_ports": "  "}])
def test_external_ports_are_the_internal_ones(external: dict[str, str]) -> None:
    typed = {key: value for key, value in TYPED.items() if key != "external_ports"}
    settings = ForwardSettings.from_input(typed | external)
    assert settings.external_ports == settings.internal_ports == PortRange.single(80)


def test_spaces() -> None:
    settings = read(
        internal_host=" 192.168.1.20 ",
        internal_ports=" 80 - 82 ",
        external_ports="\t9000- 9002 ",
        allowed_source=" 198.51.100.7 ",
    )
    assert settings.internal_host == "192.168.1.20"
    assert settings.internal_ports == PortRange(first=80, last=82)
    assert settings.external_ports == PortRange(first=9000, last=9002)
    assert settings.allowed_source == IPv4Network("198.51.100.7/32")


@pytest.mark.parametrize("field", ["internal_ports", "external_ports"])
@pytest.mark.parametrize(
    "ports",
    [
        "0",
        "65536",
        "-1",
        "80-",
        "-",
        "82-80",
        "0-5",
        "65535-65536",
        "80,81",
        "http",
        "8 0",
        "٣",
        "1.5",
    ],
)
def test_no_ports(field: str, ports: str) -> None:
    where, text = refused(TYPED | {field: ports})
    assert where == field
    assert text.startswith(f"“{ports}” is not a port. Type a number from 1 to 65535")


@pytest.mark.parametrize("host", ["", "  "])
def test_no_host(host: str) -> None:
    assert refused(TYPED | {"internal_host": host})[0] == "internal_host"


def test_internal_port_left_empty() -> None:
    assert refused(TYPED | {"internal_ports": " "})[0] == "internal_ports"


def test_absurdly_long_number() -> None:
    assert refused(TYPED | {"internal_ports": "9" * 5000})[0] == "internal_ports"


@pytest.mark.parametrize(
    ("internal", "external"), [("80", "9000-9001"), ("80-82", "9000"), ("80-82", "9000-9001")]
)
def test_ranges_of_different_length(internal: str, external: str) -> None:
    field, text = refused(TYPED | {"internal_ports": internal, "external_ports": external})
    assert field == "external_ports"
    lengths = [len(PortRange.parse(ports)) for ports in (internal, external)]
    assert "Internal ports: {}; external ports: {}.".format(*lengths) in text


@pytest.mark.parametrize(("protocol", "last"), [("tcp", 9099), ("udp", 9099), ("both", 9049)])
def test_a_hundred_mappings_and_one_more(protocol: str, last: int) -> None:
    def ports(last: int) -> dict[str, str]:
        return {
            "protocol": protocol,
            "internal_ports": f"8000-{last - 1000}",
            "external_ports": f"9000-{last}",
        }

    read(**ports(last))
    field, text = refused(TYPED | ports(last + 1))
    assert field == "external_ports"
    assert ("102" if protocol == "both" else "101") in text
    assert "100" in text


def test_too_many_mappings_where_only_internal_ports_are_given() -> None:
    data = TYPED | {"internal_ports": "1-101", "external_ports": ""}
    assert refused(data)[0] == "internal_ports"


@pytest.mark.parametrize(
    ("typed", "source"),
    [
        ("", None),
        (" ", None),
        ("0.0.0.0/0", None),
        ("198.51.100.7", "198.51.100.7/32"),
        ("198.51.100.7/32", "198.51.100.7/32"),
        ("198.51.100.0/24", "198.51.100.0/24"),
        ("198.51.100.0/255.255.255.0", "198.51.100.0/24"),
        ("0.0.0.0/1", "0.0.0.0/1"),
    ],
)
def test_allowed_source(typed: str, source: str | None) -> None:
    assert read(allowed_source=typed).allowed_source == (source and IPv4Network(source))


@pytest.mark.parametrize(
    "typed",
    [
        "my friend",
        "198.51.100",
        "198.51.100.256",
        "198.51.100.7/24",  # an address in a network: neither may be guessed
        "198.51.100.0/33",
        "2001:db8::g",
        "example.com",
        "198.51.100.7, 198.51.100.8",
        "*",
        "0.0.0.0",  # noqa: S104  any source, to many routers
        "224.0.0.1",
        "255.255.255.255",
    ],
)
def test_no_source(typed: str) -> None:
    field, text = refused(TYPED | {"allowed_source": typed})
    assert field == "allowed_source"
    assert text.startswith(f"“{typed}” is not an address or a network that could connect.")


@pytest.mark.parametrize(
    ("ip_version", "typed"),
    [
        ("ipv4", "2001:db8::7"),
        ("ipv6", "198.51.100.7"),
        ("both", "198.51.100.7"),
        ("both", "2001:db8::/32"),
    ],
)
def test_source_that_limits_only_one_of_both(ip_version: str, typed: str) -> None:
    field, text = refused(
        TYPED | {"external_ports": "", "ip_version": ip_version, "allowed_source": typed}
    )
    assert field == "allowed_source"
    assert text.startswith(f"{typed} would limit only one of IPv4 and IPv6")


def test_ipv6() -> None:
    settings = read(ip_version="ipv6", external_ports="", allowed_source="2001:db8::/32")
    forward = settings.forward("id", "Camera", (None, IPv6Address("2001:db8::5")), "home1")
    assert forward.internal_host6 == IPv6Address("2001:db8::5")
    assert forward.allowed_source == IPv6Network("2001:db8::/32")
    field, text = refused(TYPED | {"ip_version": "both", "external_ports": "9999"})
    assert (field, text[:25]) == ("external_ports", "IPv6 translates no ports:")


def test_ipv6_ports_are_free_on_each_host() -> None:
    here = read(ip_version="ipv6", external_ports="")
    there = read(ip_version="both", external_ports="", internal_host="nas.lan")
    assert here.clashes_with(read(ip_version="both", external_ports=""))
    assert not here.clashes_with(there)
    assert there.clashes_with(read(external_ports="80"))


@pytest.mark.parametrize(
    ("typed", "close_after"),
    [
        ({}, timedelta(hours=1)),  # a forward of an earlier version
        ({"until_closed": False}, timedelta(hours=1)),
        ({"close_after": {"seconds": 1}}, timedelta(seconds=1)),
        ({"close_after": {"days": 30}}, timedelta(days=30)),
        ({"close_after": {"days": 1, "hours": 2, "minutes": 3, "seconds": 4}}, timedelta(1, 7384)),
        ({"close_after": {"hours": "1.5"}, "until_closed": False}, timedelta(minutes=90)),
        ({"until_closed": True}, None),
        ({"close_after": {"hours": 2}, "until_closed": True}, None),
        ({"close_after": {"hours": 0}, "until_closed": True}, None),  # does not count then
    ],
)
def test_close_after(typed: dict[str, Any], close_after: timedelta | None) -> None:
    assert read(**typed).close_after == close_after


@pytest.mark.parametrize(
    "typed",
    [
        {"hours": 0, "minutes": 0, "seconds": 0},
        {"hours": -1},
        {"hours": 1, "minutes": -60},
        {"days": 30, "seconds": 1},
        {"days": 999_999_999},
        {"days": 1e30},
        {"hours": float("inf")},
        {"hours": float("nan")},
        {"hours": "an"},
        {"hours": None},
        {"weeks": 1},
        {},
        [],
        "01:00:00",
        3600,
        None,
    ],
)
def test_no_close_after(typed: object) -> None:
    field, text = refused(TYPED | {"close_after": typed})
    assert field == "close_after"
    assert text.startswith("Close after must be longer than nothing and at most 30 days.")


@pytest.mark.parametrize("name", ["", " ", "\t\n"])
def test_no_name(name: str) -> None:
    with pytest.raises(FieldError) as raised:
        check_name(name)
    assert (raised.value.field, raised.value.key) == ("name", "name_empty")


def test_name() -> None:
    check_name(" Front door ")


@pytest.mark.parametrize(
    ("other", "clash"),
    [
        ({}, True),
        ({"internal_host": "192.168.1.99", "internal_ports": "81"}, True),
        ({"allowed_source": "198.51.100.7"}, True),
        ({"protocol": "both"}, True),
        ({"protocol": "udp"}, False),
        ({"external_ports": "8081"}, False),
        ({"external_ports": "8080-8081", "internal_ports": "80-81"}, True),
        ({"external_ports": "8079-8080", "internal_ports": "80-81"}, True),
        ({"external_ports": "8081-8082", "internal_ports": "80-81"}, False),
        ({"external_ports": "", "internal_ports": "8080"}, True),
        ({"ip_version": "both", "internal_ports": "8080"}, True),
        ({"ip_version": "ipv6", "internal_ports": "8080"}, False),
    ],
)
def test_ports_of_another_forward(other: dict[str, str], clash: bool) -> None:  # noqa: FBT001
    forwards = [stored("Door", external_ports="9999"), stored("Camera", **other)]
    if not clash:
        check_free(read(), forwards)
        return
    with pytest.raises(FieldError) as raised:
        check_free(read(), forwards)
    error = raised.value
    assert error.field == "external_ports"
    assert rendered(f"config_subentries.forward.error.{error.key}", error.placeholders) == (
        "External port 8080 is already used by “Camera”. Choose another external port."
    )
