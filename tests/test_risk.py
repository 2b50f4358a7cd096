"""The table of what is risky to open."""

import re
from ipaddress import IPv4Address
from pathlib import Path

import pytest
import pytest_socket
from homeassistant.components.http import ApiConfig

from custom_components.port_forward.forwards import ForwardSettings
from custom_components.port_forward.routers.model import Protocol
from custom_components.port_forward.safety.risk import RISKS, Danger, async_is_on_router, risks_of

from .translations import placeholders, texts

KEYS = {risk.key for risk in RISKS} | {"router", "home_assistant", "privileged"}
DOCUMENTATION = (Path(__file__).parents[1] / "docs" / "risks.md").read_text(encoding="utf-8")


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


def keys(
    settings: ForwardSettings, api: ApiConfig | None = None, *, on_router: bool = False
) -> list[str]:
    return [risk.key for risk in risks_of(settings, api, on_router=on_router)]


def home_assistant(port: int = 8123, *, tls: bool = False) -> ApiConfig:
    return ApiConfig("192.168.1.2", "homeassistant.local", port, tls)


@pytest.mark.parametrize(
    ("ports", "protocol", "expected"),
    [
        ("3389", "tcp", ["remote_desktop"]),
        ("3389", "udp", ["remote_desktop"]),
        ("22", "tcp", ["ssh"]),
        ("22", "udp", ["privileged"]),
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
        ("161", "tcp", ["privileged"]),
        ("554", "udp", ["rtsp"]),
        ("37777", "tcp", ["dahua"]),
        ("34567", "tcp", ["xiongmai"]),
        ("20-30", "tcp", ["ssh", "telnet"]),
        ("9000", "tcp", ["reolink"]),
        ("8899", "tcp", ["xiongmai"]),
        ("8000", "tcp", ["hikvision"]),
        ("81", "tcp", ["wificam"]),
        ("88", "tcp", ["foscam"]),
        ("80", "tcp", ["web"]),
        ("80", "udp", ["privileged"]),
        ("8086", "tcp", ["influxdb"]),
        ("11211", "udp", ["memcached"]),
        ("8080", "both", []),
        ("443", "tcp", ["privileged"]),
        ("1023", "udp", ["privileged"]),
        ("1024", "both", []),
        ("1000-1030", "udp", ["privileged"]),
    ],
)
def test_internal_port_and_protocol_decide(ports: str, protocol: str, expected: list[str]) -> None:
    assert keys(leading_to(ports, protocol)) == expected


def test_of_the_external_port_only_that_it_is_privileged() -> None:
    assert keys(leading_to("22", external="50022")) == ["ssh"]
    assert keys(leading_to("8080", external="22")) == ["privileged"]
    assert keys(leading_to("3389", external="443")) == ["remote_desktop"]
    assert keys(leading_to("8080", external="3389")) == []


def test_on_the_router_itself() -> None:
    assert keys(leading_to("8443"), on_router=True) == ["router"]
    assert keys(leading_to("50000", "udp"), on_router=True) == ["router"]
    assert keys(leading_to("22"), on_router=True) == ["router", "ssh"]
    assert keys(leading_to("443"), on_router=True) == ["router"]


@pytest.mark.parametrize(
    ("host", "router", "expected"),
    [
        ("127.0.0.9", "127.0.0.9", True),
        ("127.0.0.5", "127.0.0.9", False),
        # Home Assistant runs on the router.
        ("127.0.0.1", "127.0.0.1", False),
        (None, "127.0.0.9", False),
    ],
)
async def test_whether_it_is_the_router_itself(
    socket_enabled: None, host: str | None, router: str, *, expected: bool
) -> None:
    pytest_socket.socket_allow_hosts(["127.0.0.0/8"], allow_unix_socket=True)
    address = IPv4Address(host) if host else None
    on_router = await async_is_on_router(leading_to("80"), address, IPv4Address(router))
    assert on_router is expected


def test_home_assistant_without_tls() -> None:
    assert keys(leading_to("8123"), home_assistant()) == ["home_assistant"]
    assert not keys(leading_to("8123", "udp"), home_assistant())
    assert not keys(leading_to("8123"), home_assistant(tls=True))
    assert not keys(leading_to("8123"), home_assistant(8124))
    assert keys(leading_to("80"), home_assistant(80)) == ["web", "home_assistant"]
    assert not keys(leading_to("8123"))


def test_keys_are_unique() -> None:
    assert len(KEYS) == len(RISKS) + 3
    assert {risk.danger for risk in RISKS} | {"home_assistant", "privileged"} == set(Danger)


def test_everything_has_its_texts() -> None:
    told = {key.removeprefix("common.") for key in texts() if key.startswith("common.risk_")}
    assert told == (
        {f"risk_name_{key}" for key in KEYS}
        | {f"risk_{what}_{danger}" for what in ("why", "safer") for danger in Danger}
        | {"risk_paragraph", "risk_until_closed"}
    )
    for key in told - {"risk_paragraph"}:
        assert not placeholders(texts()[f"common.{key}"])
        sentence = texts()[f"common.{key}"]
        assert key.startswith("risk_name_") or sentence.endswith(".")
    assert placeholders(texts()["common.risk_paragraph"]) == {"names", "why", "safer"}


def name(key: str) -> str:
    return texts()[f"common.risk_name_{key}"]


def test_the_documentation_has_the_same_table() -> None:
    rows = re.findall(r"^\| (.*?) \| (.*?) \| (\[.*?\]) \|$", DOCUMENTATION, re.MULTILINE)
    assert [row[:2] for row in rows] == [
        *(
            (
                name(risk.key),
                " and ".join(protocol.upper() for protocol in risk.protocols)
                + " "
                + ", ".join(map(str, risk.ports)),
            )
            for risk in RISKS
        ),
        (name("router"), "every port of the router's own address"),
        (name("home_assistant"), "TCP 8123, or where its web server listens"),
        (name("privileged"), "1-1023, internal or external, if it is none of the above"),
    ]
    assert all(set(risk.protocols) <= set(Protocol) for risk in RISKS)
    for _, _, sources in rows:
        for source in re.findall(r"\[(.*?)\]", sources):
            assert f"\n[{source}]: " in DOCUMENTATION


def test_the_documentation_says_what_the_form_says() -> None:
    for danger in Danger:
        why, safer = (texts()[f"common.risk_{what}_{danger}"] for what in ("why", "safer"))
        assert f" | {why} | {safer} |\n" in DOCUMENTATION
