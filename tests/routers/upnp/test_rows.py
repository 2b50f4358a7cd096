from datetime import timedelta

import pytest

from custom_components.port_forward.routers.model import PortMapping, PortRange, Protocol
from custom_components.port_forward.routers.upnp.lenient_xml import NotXmlError
from custom_components.port_forward.routers.upnp.rows import read_port_listing, read_row

ROW = {
    "NewRemoteHost": "",
    "NewExternalPort": "8080",
    "NewProtocol": "TCP",
    "NewInternalPort": "80",
    "NewInternalClient": "192.0.2.5",
    "NewEnabled": "1",
    "NewPortMappingDescription": "Door",
    "NewLeaseDuration": "3600",
}
MAPPING = PortMapping(
    protocols=(Protocol.TCP,),
    external_ports=PortRange.single(8080),
    internal_host="192.0.2.5",
    internal_ports=PortRange.single(80),
    description="Door",
    lease=timedelta(hours=1),
)


def test_row() -> None:
    assert read_row(ROW) == MAPPING


@pytest.mark.parametrize(
    "change",
    [
        {"NewInternalClient": ""},
        {"NewExternalPort": "0"},
        {"NewExternalPort": "65536"},
        {"NewExternalPort": "80a"},
        {"NewExternalPort": ""},
        {"NewProtocol": "ICMP"},
        {"NewProtocol": ""},
    ],
)
def test_placeholders_and_nonsense_are_no_rows(change: dict[str, str]) -> None:
    assert read_row(ROW | change) is None


def test_a_row_of_nothing_is_none() -> None:
    assert read_row({}) is None


@pytest.mark.parametrize(
    ("change", "field", "expected"),
    [
        ({"NewInternalPort": "0"}, "internal_ports", None),
        ({"NewInternalPort": "x"}, "internal_ports", None),
        ({"NewInternalClient": "xbox.lan"}, "internal_host", "xbox.lan"),
        ({"NewRemoteHost": "*"}, "allowed_source", "*"),
        ({"NewProtocol": "udp"}, "protocols", (Protocol.UDP,)),
        ({"NewLeaseDuration": "0"}, "lease", None),
        ({"NewLeaseDuration": "-1"}, "lease", None),
        ({"NewLeaseDuration": ""}, "lease", None),
        ({"NewLeaseDuration": "4294967295"}, "lease", timedelta(seconds=4294967295)),
        ({"NewEnabled": "0"}, "enabled", False),
        ({"NewEnabled": "False"}, "enabled", False),
        ({"NewEnabled": "true"}, "enabled", True),
        ({"NewEnabled": ""}, "enabled", True),
    ],
)
def test_odd_values(change: dict[str, str], field: str, expected: object) -> None:
    row = read_row(ROW | change)
    assert row
    assert getattr(row, field) == expected


def test_port_listing_skips_bad_entries() -> None:
    good = "".join(f"<p:{key}>{value}</p:{key}>" for key, value in _in_list(ROW).items())
    document = (
        '<p:PortMappingList xmlns:p="urn:x">'
        "<p:PortMappingEntry/><p:PortMappingEntry><p:NewExternalPort>x</p:NewExternalPort>"
        f"</p:PortMappingEntry><p:PortMappingEntry>{good}</p:PortMappingEntry>"
        "</p:PortMappingList>"
    )
    assert list(read_port_listing(document)) == [MAPPING]


def test_q26_a_row_inside_a_description_is_none() -> None:
    """Whoever maps a port may write anything there, and routers copy it as it is."""
    row = _in_list(ROW)
    written = row | {"NewExternalPort": "443", "NewDescription": ""}
    forged = "".join(f"<{key}>{value}</{key}>" for key, value in written.items())
    row["NewDescription"] = f"Door<PortMappingEntry>{forged}</PortMappingEntry>"
    fields = "".join(f"<{key}>{value}</{key}>" for key, value in row.items())
    document = f"<PortMappingList><PortMappingEntry>{fields}</PortMappingEntry></PortMappingList>"
    assert list(read_port_listing(document)) == [MAPPING]


@pytest.mark.parametrize(
    "document", ["<p:PortMappingList", "<html/>", "<PortMappingEntry/>", "<error>busy</error>"]
)
def test_port_listing_that_is_none(document: str) -> None:
    """It must not pass for an empty one: everything would show as closed."""
    with pytest.raises(NotXmlError):
        list(read_port_listing(document))


def test_port_listing_that_is_empty_or_wrapped() -> None:
    assert list(read_port_listing("<PortMappingList/>")) == []
    assert list(read_port_listing("<x><y:PortMappingList xmlns:y='urn:x'/></x>")) == []


def _in_list(row: dict[str, str]) -> dict[str, str]:
    names = {"NewPortMappingDescription": "NewDescription", "NewLeaseDuration": "NewLeaseTime"}
    return {names.get(key, key): value for key, value in row.items()}
