"""What strangers may read of a text, and what they may not."""

from ipaddress import ip_address
from types import EllipsisType

import pytest

from custom_components.port_forward.mask import SECRET, Mask


@pytest.fixture
def mask() -> Mask:
    return Mask(
        secrets=["hunter2/é", "k3y", ""],
        names={"Jane's NAS": "forward-1", "nas": "forward-2", "192.168.1.1": "router", "": "x"},
    )


@pytest.mark.parametrize(
    ("text", "shown"),  # ...: as it is
    [
        # Codes, and what routers say with them, are what it is all about.
        ("AddPortMapping: 718 ConflictInMappingEntry", ...),
        ("searchRule: HTTP 500, no rows", ...),
        ("api.err.InvalidObject", ...),
        ("uci set: status 6", ...),
        ("WANIPv6FirewallControl: 606 Action not authorized", ...),
        ("urn:upnp-org:serviceId:WANIPConn1", ...),
        ("RouterOS 7.16.2 (stable), 2026-11-22 09:08:07", ...),
        ("at 12:34:56, within 1:30 h", ...),
        ("std::string, e.g. this", ...),
        ("", ...),
        # Addresses keep what they have in common.
        ("192.168.1.20 and 192.168.1.21, not 192.168.1.20.", "lan-1 and lan-2, not lan-1."),
        ("http://10.0.0.5:8080/x", "http://lan-1:8080/x"),
        ("from 203.0.113.7/24", "from public-1/24"),
        ("100.64.1.1 is shared, 127.0.0.1 is not", "shared-1 is shared, loopback-1 is not"),
        ("at 192.168.1.1", "at router"),
        ("0.0.0.0 and ::", ...),
        ("[2001:db8::1]:443, fe80::1%eth0", "[ipv6-1]:443, link-local-1"),
        ("fd00:0:0::5 is FD00::5", "unique-local-1 is unique-local-1"),
        ("::ffff:198.51.100.7", "reserved-1"),
        # Names and ids.
        ("AA:bb:cc:00:11:22 is aa:BB:cc:00:11:22", "mac-1 is mac-1"),
        ("aa-bb-cc-00-11-22 or aabb.cc00.1122", "mac-1 or mac-2"),
        ("uuid:2fac1234-31f8-11b4-a222-08002b34c003", "uuid:id-1"),
        ("x 9F86D081884C7D659A2FEAA0C55AD015", "x id-1"),
        ("nas.fritz.box or jane@example.org", "host-1 or host-2"),
        ("It is Jane's NAS, or the NAS", "It is forward-1, or the forward-2"),
        ("nasty, bananas, dynasty", ...),
        # Secrets, in whatever spelling and place.
        ("xhunter2/éx HUNTER2/É hunter2%2F%C3%A9", f"x{SECRET}x {SECRET} {SECRET}"),
        ("Basic aHVudGVyMi/DqQ==", f"Basic {SECRET}"),
        ("?token=k3y&", f"?token={SECRET}&"),
        ("http://bob:topsecret@10.0.0.5:80/x", f"http://{SECRET}@lan-1:80/x"),
        ("http://nas:topsecret@nas/x", f"http://{SECRET}@forward-2/x"),
        ("HTTPS://bob@HOST/a@b", f"HTTPS://{SECRET}@HOST/a@b"),
    ],
)
def test_text(mask: Mask, text: str, shown: str | EllipsisType) -> None:
    assert mask.text(text) == (text if shown is ... else shown)


def test_a_host_has_one_label_wherever_it_is_named(mask: Mask) -> None:
    assert mask.host("192.168.1.20") == mask.address(ip_address("192.168.1.20")) == "lan-1"
    assert mask.text("to 192.168.1.20") == "to lan-1"
    assert mask.host("[2001:db8::1]") == mask.host("2001:DB8:0::1") == "ipv6-1"
    assert mask.host("camera") == mask.host("Camera") == "host-1"
    assert mask.host("192.168.1.1") == mask.address(ip_address("192.168.1.1")) == "router"
    assert (mask.host(""), mask.host("*"), mask.host("NAS")) == ("", "*", "forward-2")


def test_sources(mask: Mask) -> None:
    assert mask.source("198.51.100.0/24") == "public-1/24"
    assert mask.source("198.51.100.0/32") == "public-1"
    assert mask.source("2001:db8::/48") == "ipv6-1/48"
    assert (mask.source(""), mask.source("0.0.0.0/0")) == ("", "0.0.0.0/0")
    assert mask.source("my office") == "host-1"


def test_long_texts_are_cut_after_they_are_masked(mask: Mask) -> None:
    shown = mask.text("y" * 295 + " hunter2/é " + "z" * 70_000)
    assert len(shown) == 301
    assert "hunt" not in shown


def test_is_quick_with_what_a_stranger_sends() -> None:
    """A pattern that tries all ways would take for ever."""
    mask = Mask(secrets=["s"], names={"n": "n"})
    for text in ("a." * 32_000, "a:" * 32_000, "1." * 32_000, "a-" * 32_000, "a1=" * 32_000):
        mask.text(text)
