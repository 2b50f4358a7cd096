"""What people type and what we write: ports, sources, durations, tags and addresses."""

from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_network

import voluptuous as vol
from homeassistant.const import CONF_NAME, CONF_PROTOCOL
from hypothesis import given
from hypothesis import strategies as st

from custom_components.port_forward.const import (
    CONF_ALLOWED_SOURCE,
    CONF_CLOSE_AFTER,
    CONF_EXTERNAL_PORTS,
    CONF_INTERNAL_HOST,
    CONF_INTERNAL_PORTS,
    CONF_IP_VERSION,
    CONF_UNTIL_CLOSED,
    LONGEST_OPENING,
    MAX_MAPPINGS_PER_FORWARD,
)
from custom_components.port_forward.forward_flow.form import SCHEMA
from custom_components.port_forward.forwards import (
    FieldError,
    ForwardSettings,
    IpVersion,
    check_name,
)
from custom_components.port_forward.routers.addresses import is_public
from custom_components.port_forward.routers.model import (
    PORT_MAX,
    PORT_MIN,
    Forward,
    PortRange,
    Protocol,
)
from custom_components.port_forward.routers.tag import description_of, owner_in

from .documents import NUMBERS, TEXTS
from .effort import bounded, inputs

_port = st.integers(1, 65535).map(str) | st.sampled_from(NUMBERS)
_ports = st.one_of(
    _port,
    st.builds(
        "{}{}{}".format, _port, st.sampled_from(("-", " - ", "--", "\u2013", "..", ",")), _port
    ),
    st.text(max_size=12),
)
_sources = st.one_of(
    st.sampled_from(
        (
            "",
            " ",
            "0.0.0.0/0",
            "0.0.0.0/0.0.0.0",
            "0.0.0.0/32",
            "::/0",
            "::",
            "fe80::1%e",
            "10.0.0.0/0.0.0.255",
        )
    ),
    st.builds(
        "{}{}".format,
        st.ip_addresses(v=4) | st.sampled_from(TEXTS),
        st.sampled_from(("", "/0", "/1", "/24", "/32", "/33", "/-1", "/255.255.255.0", "/\u0662")),
    ),
    st.builds("{}{}".format, st.ip_addresses(v=6), st.sampled_from(("", "/64", "/128", "/129"))),
    st.text(max_size=12),
)
_amount = st.one_of(
    st.integers(-100, 10**7),
    st.floats(),
    st.sampled_from(("1", "nan", "inf", "-1", "1e308", "x", "", None, 10**400, "9" * 400)),
    st.booleans(),
)
_durations = st.one_of(
    st.dictionaries(
        st.sampled_from(("days", "hours", "minutes", "seconds", "milliseconds", "weeks", "")),
        _amount,
    ),
    _amount,
    st.lists(_amount, max_size=2),
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
_texts = st.text(max_size=20) | st.sampled_from(TEXTS)
forms = st.fixed_dictionaries(
    {
        CONF_NAME: _texts,
        CONF_INTERNAL_HOST: st.sampled_from(("192.0.2.5", " nas ", "This Home Assistant")) | _texts,
        CONF_PROTOCOL: st.sampled_from(("tcp", "udp", "both", "both", "icmp")),
        CONF_INTERNAL_PORTS: _ports,
    },
    optional={
        CONF_EXTERNAL_PORTS: _ports,
        CONF_ALLOWED_SOURCE: _sources,
        CONF_CLOSE_AFTER: _durations,
        CONF_IP_VERSION: st.sampled_from(("ipv4", "ipv6", "both", "")),
        CONF_UNTIL_CLOSED: st.booleans() | st.sampled_from(("yes", "off", 1, None)),
    },
)
any_forms = forms | st.dictionaries(st.sampled_from([str(key) for key in SCHEMA.schema]), _json)


@inputs(30)
@given(_ports)
def test_ports(text: str) -> None:
    with bounded(len(text)):
        try:
            ports = PortRange.parse(text)
        except ValueError:
            return
    assert PORT_MIN <= ports.first <= ports.last <= PORT_MAX
    assert PortRange.parse(str(ports)) == ports
    written = [part.strip().lstrip("0") for part in text.split("-")]
    assert [str(ports.first), str(ports.last)] == [written[0], written[-1]]


@inputs(20)
@given(st.integers(1, 65535), st.integers(0, 65535))
def test_ports_that_are_written_are_read(first: int, length: int) -> None:
    ports = PortRange(first=first, last=min(first + length, 65535))
    with bounded(1):
        assert PortRange.parse(str(ports)) == ports
    assert len(ports) == ports.last - first + 1


@inputs(75)
@given(any_forms)
def test_the_form(form: dict[str, object]) -> None:
    """What the form lets through is a forward, or an error at one of its fields."""
    with bounded(20_000):
        try:
            data = SCHEMA(form)
        except vol.Invalid:
            return
        try:
            check_name(data[CONF_NAME])
            settings = ForwardSettings.from_input(data)
        except FieldError as error:
            assert error.field in SCHEMA.schema  # noqa: PT017  the one that it may raise
            return
    assert len(settings.external_ports) == len(settings.internal_ports)
    hosts = (
        None if settings.ip_version is IpVersion.IPV6 else IPv4Address("192.0.2.5"),
        None if settings.ip_version is IpVersion.IPV4 else IPv6Address("2001:db8::5"),
    )
    rules = len(settings.external_ports) * len(settings.protocols) * sum(map(bool, hosts))
    assert 1 <= rules <= MAX_MAPPINGS_PER_FORWARD
    assert settings.close_after is None or timedelta(0) < settings.close_after <= LONGEST_OPENING
    assert (settings.close_after is None) <= bool(data[CONF_UNTIL_CLOSED])
    _check_source(data.get(CONF_ALLOWED_SOURCE, ""), settings)
    # It can be stored and read again, and be aimed at a host.
    assert ForwardSettings.from_input(data) == settings
    settings.forward("new", data[CONF_NAME], hosts, "home1")


def _check_source(text: str, settings: ForwardSettings) -> None:
    """Nobody may come in whom the text leaves out."""
    source = settings.allowed_source
    if not text.strip() or ip_network(text.strip()).prefixlen == 0:
        assert source is None
    else:
        assert source == ip_network(text.strip())


_ids = st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZabc", min_size=1, max_size=32)


@inputs(40)
@given(
    _ids,
    st.text("0123456789abcdef", max_size=8),
    st.text() | st.sampled_from(TEXTS) | st.text("[]ha-pf:\u0301\u200d", max_size=200),
)
def test_tag(forward_id: str, home: str, name: str) -> None:
    forward = Forward(
        id=forward_id,
        home=home,
        name=name,
        internal_host=IPv4Address("192.0.2.5"),
        protocols=(Protocol.TCP,),
        external_ports=PortRange.single(1),
        internal_ports=PortRange.single(1),
    )
    with bounded(len(name)):
        description = description_of(forward)
    assert 1 <= len(description) <= 63
    assert description.isascii()
    assert description.isprintable()
    assert not set(description) & set("<>&\"'")
    assert owner_in(description) == forward.owner
    # Half of it is nobody's.
    assert owner_in(description[:-1]) is None


@inputs(20)
@given(st.text("[]ha-pf:Ab1 \u0661", max_size=60) | st.text())
def test_tag_in_any_description(description: str) -> None:
    with bounded(len(description)):
        found = owner_in(description)
    assert (found is not None) <= (f"[ha-pf:{found}]" in description)
    assert found is None or (found.forward_id.isascii() and found.forward_id.isalnum())


@inputs(20)
@given(st.ip_addresses(v=4))
def test_addresses(address: IPv4Address) -> None:
    with bounded(1):
        public = is_public(address)
    # Python's own table leaves out the networks for documentation too.
    if public:
        assert not address.is_private or any(address in network for network in _FOR_EXAMPLES)
        assert not any((address.is_multicast, address.is_loopback, address.is_unspecified))
    else:
        assert not address.is_global or address.is_multicast or address in _FOR_PROTOCOLS


_FOR_EXAMPLES = [
    IPv4Network(network)
    for network in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15")
]
_FOR_PROTOCOLS = IPv4Network("192.0.0.0/24")
