"""The table of what is risky to open."""

import re
from pathlib import Path

import pytest
from homeassistant.components.http import ApiConfig

from custom_components.port_forward.forwards import ForwardSettings
from custom_components.port_forward.risk import RISKS, risks_of
from custom_components.port_forward.routers.model import Protocol

DOCUMENTATION = Path(__file__).parents[1] / "docs" / "voice.md"


def leading_to(ports: str, protocol: str = "tcp", external: str = "") -> ForwardSettings:
    """Return a forward as the form gives it."""
    return ForwardSettings.from_input(
        {
            "internal_host": "192.168.1.20",
            "protocol": protocol,
            "internal_ports": ports,
            "external_ports": external,
        }
    )


def home_assistant(port: int = 8123, *, tls: bool = False) -> ApiConfig:
    return ApiConfig("192.168.1.2", "homeassistant.local", port, tls)


@pytest.mark.parametrize(
    ("ports", "protocol", "expected"),
    [
        ("3389", "tcp", ["remote_desktop"]),
        ("3389", "udp", ["remote_desktop"]),
        ("22", "tcp", ["ssh"]),
        ("22", "udp", []),
        ("22", "both", ["ssh"]),
        ("23", "tcp", ["telnet"]),
        ("139", "tcp", ["smb"]),
        ("445", "tcp", ["smb"]),
        ("5899", "tcp", []),
        ("5900", "tcp", ["vnc"]),
        ("5909", "tcp", ["vnc"]),
        ("5910", "tcp", []),
        ("3306", "tcp", ["mysql"]),
        ("5432", "tcp", ["postgresql"]),
        ("1433", "tcp", ["sql_server"]),
        ("1521", "tcp", ["oracle"]),
        ("27017", "tcp", ["mongodb"]),
        ("6379", "tcp", ["redis"]),
        ("9200", "tcp", ["elasticsearch"]),
        ("5984", "tcp", ["couchdb"]),
        ("7547", "tcp", ["tr069"]),
        ("8291", "tcp", ["winbox"]),
        ("8729", "tcp", ["winbox"]),
        ("161", "udp", ["snmp"]),
        ("161", "tcp", []),
        ("554", "udp", ["rtsp"]),
        ("37777", "tcp", ["dahua"]),
        ("34567", "tcp", ["xiongmai"]),
        ("20-30", "tcp", ["ssh", "telnet"]),
        ("8080", "both", []),
        ("443", "tcp", []),
    ],
)
def test_internal_port_and_protocol_decide(ports: str, protocol: str, expected: list[str]) -> None:
    assert [risk.key for risk in risks_of(leading_to(ports, protocol), None)] == expected


def test_the_external_port_does_not() -> None:
    assert risks_of(leading_to("22", external="50022"), None)
    assert not risks_of(leading_to("8080", external="22"), None)


def test_home_assistant_without_tls() -> None:
    (risk,) = risks_of(leading_to("8123"), home_assistant())
    assert risk.key == "home_assistant"
    assert not risks_of(leading_to("8123", "udp"), home_assistant())
    assert not risks_of(leading_to("8123"), home_assistant(tls=True))
    assert not risks_of(leading_to("8123"), home_assistant(80))
    assert risks_of(leading_to("80"), home_assistant(80))
    assert not risks_of(leading_to("8123"), None)


def test_keys_are_unique() -> None:
    assert len({risk.key for risk in RISKS}) == len(RISKS)


def test_the_documentation_has_the_same_table() -> None:
    rows = re.findall(r"^\| (.*?) \| ((?:TCP|UDP).*?) \|$", DOCUMENTATION.read_text(), re.MULTILINE)
    assert rows == [
        *(
            (
                risk.name,
                " and ".join(protocol.upper() for protocol in risk.protocols)
                + " "
                + ", ".join(map(str, risk.ports)),
            )
            for risk in RISKS
        ),
        ("Home Assistant without TLS", "TCP 8123, or where its web server listens"),
    ]
    assert all(set(risk.protocols) <= set(Protocol) for risk in RISKS)
