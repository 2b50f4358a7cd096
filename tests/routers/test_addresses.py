from ipaddress import IPv4Address

import pytest

from custom_components.port_forward.routers.addresses import is_public, own_address


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True),
        ("203.0.113.7", True),
        ("198.51.100.7", True),
        ("100.63.255.255", True),
        ("100.128.0.0", True),
        ("172.32.0.1", True),
        ("223.255.255.255", True),
        ("0.0.0.0", False),  # noqa: S104
        ("10.0.0.2", False),
        ("100.64.0.2", False),
        ("100.127.255.255", False),
        ("127.0.0.1", False),
        ("169.254.1.1", False),
        ("172.16.0.1", False),
        ("172.31.255.255", False),
        ("192.0.0.4", False),
        ("192.168.1.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
    ],
)
def test_public(address: str, *, expected: bool) -> None:
    assert is_public(IPv4Address(address)) is expected


def test_no_address_is_not_public() -> None:
    assert not is_public(None)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", IPv4Address("127.0.0.1")),
        ("127.0.0.9", IPv4Address("127.0.0.1")),
        ("::1", None),
    ],
)
async def test_own_address(host: str, expected: IPv4Address | None) -> None:
    assert await own_address(host) == expected
