from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from custom_components.port_forward.routers import ipv4, ipv6
from custom_components.port_forward.routers.pcp import Server, gateway6

ROUTER = Server(IPv4Address("192.168.1.1"), 15351)

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
HOME = "eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
HOME_NET = "eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
VPN = "tun0\t00000000\t0100020A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"

NOWHERE, ANY = "0" * 32, "00"
LINK_LOCAL, ULA = "fe80000000000000000000000000abcd", "fd770000000000000000000000000001"


def route6(gateway: str, interface: str, *, metric: int = 1024, flags: int = 3) -> str:
    return (
        f"{NOWHERE} {ANY} {NOWHERE} {ANY} {gateway} "
        f"{metric:08x} 00000001 00000000 {flags:08x}     {interface}\n"
    )


@pytest.fixture
def routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    four, six = tmp_path / "route", tmp_path / "ipv6_route"
    monkeypatch.setattr(ipv4, "ROUTE_TABLE", four)
    monkeypatch.setattr(ipv6, "ROUTE_TABLE", six)
    four.write_text(HEAD + HOME + HOME_NET)
    return four, six


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (route6(ULA, "eth0"), "fd77::1"),
        (route6(LINK_LOCAL, "eth0"), "fe80::abcd%eth0"),
        (route6(LINK_LOCAL, "eth0") + route6(ULA, "eth0", metric=5), "fd77::1"),
        (route6(ULA, "eth1"), None),
        (route6(NOWHERE, "lo", flags=0x200200), None),
        (route6(ULA, "eth0").replace(f"{NOWHERE} 00", f"{ULA} 40", 1), None),
        ("", None),
    ],
)
def test_the_router_over_ipv6(routes: tuple[Path, Path], table: str, expected: str | None) -> None:
    routes[1].write_text(table)
    found = gateway6.find_server6(ROUTER)
    assert found == (Server(IPv6Address(expected), 15351) if expected else None)


def test_a_vpn_gateway_is_not_the_router_of_the_home(routes: tuple[Path, Path]) -> None:
    routes[0].write_text(HEAD + HOME + VPN)
    routes[1].write_text(route6(ULA, "eth0"))
    assert gateway6.find_server6(Server(IPv4Address("10.2.0.1"))) is None


def test_a_machine_without_these_files(routes: tuple[Path, Path]) -> None:
    routes[0].unlink()
    assert gateway6.find_server6(ROUTER) is None
