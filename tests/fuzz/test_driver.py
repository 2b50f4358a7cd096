"""The whole driver against routers that lie, fail and babble: never other than asked."""

from collections.abc import Iterator
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network

import aiohttp
from hypothesis import given
from hypothesis import strategies as st

from custom_components.port_forward.routers.errors import RouterError
from custom_components.port_forward.routers.model import Forward, PortMapping, PortRange, Protocol
from custom_components.port_forward.routers.upnp import UpnpRouter

from .checks import check_error, check_row
from .documents import WAN_TYPES, bodies, descriptions, elements, row_fields, soap, soap_fault, tag
from .effort import bounded, count, inputs
from .test_table import CODES, odd_replies
from .wire import HOST, Reply, Wire, cycle

URL = f"http://{HOST}/d.xml"
HOUR = timedelta(hours=1)
GOOD_DESCRIPTION = tag(
    "root",
    tag(
        "device",
        elements({"UDN": "uuid:r"})
        + tag(
            "serviceList",
            tag("service", elements({"serviceType": WAN_TYPES[1], "controlURL": "/"})),
        ),
    ),
)

forwards = st.builds(
    lambda name, length, first, inside, protocols, source: Forward(
        id="01K9ZZZZZZZZZZZZZZZZZZZZZZ",
        name=name,
        internal_host=IPv4Address("127.0.0.2"),
        protocols=protocols,
        external_ports=PortRange(first=first, last=first + length),
        internal_ports=PortRange(first=inside, last=inside + length),
        allowed_source=source,
    ),
    st.text(max_size=80),
    st.integers(0, 3),
    st.integers(1, 65532),
    st.integers(1, 65532),
    st.sampled_from(((Protocol.TCP,), (Protocol.UDP,), (Protocol.TCP, Protocol.UDP))),
    st.sampled_from((None, None, IPv4Network("198.51.100.7"), IPv4Network("0.0.0.0/0"))),
)
_any_reply = st.one_of(
    odd_replies,
    st.tuples(st.just(200), bodies(descriptions())),
    st.builds(
        lambda action, row: (200, soap(action, elements(row)).encode("utf-8", "replace")),
        st.sampled_from(("GetStatusInfo", "GetSpecificPortMappingEntry", "AddPortMapping")),
        row_fields(in_list=False),
    ),
)


def _driver(wire: Wire, session: aiohttp.ClientSession) -> UpnpRouter:
    driver = UpnpRouter(session, URL)
    driver._transport = wire
    return driver


@inputs(30)
@given(replies=st.lists(_any_reply, min_size=1, max_size=12), is_router=st.booleans())
async def test_any_answers_to_a_look(
    session: aiohttp.ClientSession, replies: list[Reply], *, is_router: bool
) -> None:
    turn = cycle(replies)

    def answer(action: str, arguments: dict[str, str]) -> Reply:
        return (200, GOOD_DESCRIPTION.encode()) if is_router and not action else next(turn)

    wire = Wire(session, answer)
    driver = _driver(wire, session)
    with bounded(1100 * max(len(reply[1]) if reply else 0 for reply in replies)):
        try:
            await driver.connect()
            snapshot = await driver.snapshot()
        except RouterError as error:
            check_error(error)
            return
    for row in snapshot.mappings:
        check_row(row)
    assert snapshot.uptime is None or timedelta(0) <= snapshot.uptime < timedelta(seconds=2**32)
    assert driver.capabilities.listing in type(driver.capabilities.listing)
    assert all(isinstance(value, str) for value in driver.learned.values())


NONE: Reply = (500, soap_fault("714", "none").encode())
MOODS = (*["works"] * 12, "breaks before", "breaks after", "times out", "acts, late")


_SAID_INSTEAD: dict[str, Reply] = {
    "breaks before": None,
    "times out": (0, b""),
    "garbage": (200, b"<html>"),
}
_SAID_AFTERWARDS: dict[str, Reply] = {"breaks after": None, "acts, late": (0, b"")}


class Table:
    """A router of one table that tells the truth of it, but fails in the moods it is given."""

    def __init__(self, moods: Iterator[str], codes: Iterator[str]) -> None:
        self.rows: dict[tuple[str, str, str], dict[str, str]] = {}
        self._moods = moods
        self._codes = codes

    def answer(self, action: str, arguments: dict[str, str]) -> Reply:
        if not action:
            return 200, GOOD_DESCRIPTION.encode()
        mood = next(self._moods)
        if mood in _SAID_INSTEAD:
            return _SAID_INSTEAD[mood]
        if mood == "refuses":
            return 500, soap_fault(next(self._codes), "no").encode()
        if mood == "lies":
            return _said(action, {"NewInternalClient": "192.0.2.9"})
        reply = self._act(action, arguments)
        return _SAID_AFTERWARDS.get(mood, reply)

    def _act(self, action: str, arguments: dict[str, str]) -> Reply:
        names = ("NewRemoteHost", "NewExternalPort", "NewProtocol")
        key = tuple(arguments.get(name, "") for name in names)
        assert len(key) == 3
        if action == "GetGenericPortMappingEntry":
            rows = [*self.rows.values()][int(arguments["NewPortMappingIndex"]) :]
            return _said(action, rows[0]) if rows else NONE
        answer: dict[str, str] | None = {}
        match action:
            case "GetExternalIPAddress":
                answer = {"NewExternalIPAddress": "203.0.113.7"}
            case "AddPortMapping":
                self.rows[key] = arguments
            case "GetSpecificPortMappingEntry":
                answer = self.rows.get(key)
            case "DeletePortMapping":
                answer = self.rows.pop(key, None)
            case _:
                answer = None
        return NONE if answer is None else _said(action, answer)


def _said(action: str, values: dict[str, str]) -> Reply:
    return 200, soap(action, elements(values)).encode()


def _asked_only_for(wire: Wire, driver: UpnpRouter, forward: Forward) -> None:
    """Make sure that no request was for a mapping wider or other than the plan."""
    plan = driver.plan(forward)
    keys = {_key(mapping) for mapping in plan}
    wide = {("", *key[1:]) for key in keys}
    whole = {
        (*_key(mapping), mapping.internal_host, str(mapping.internal_ports)) for mapping in plan
    }
    for action, arguments in wire.asked:
        names = ["NewRemoteHost", "NewExternalPort", "NewProtocol"]
        key = tuple(arguments.get(name, "") for name in names)
        if action == "AddPortMapping":
            assert (*key, arguments["NewInternalClient"], arguments["NewInternalPort"]) in whole
            description = arguments["NewPortMappingDescription"]
            assert description.isascii()
            assert description.isprintable()
            assert 1 <= len(description) <= 63
            assert driver.owner_of(plan[0]) == forward.owner
        elif action == "DeletePortMapping":
            assert key in keys | wide


def _key(mapping: PortMapping) -> tuple[str, str, str]:
    (protocol,) = mapping.protocols
    return mapping.allowed_source, str(mapping.external_ports), protocol.upper()


@inputs(40)
@given(forwards, st.lists(st.sampled_from(MOODS), min_size=1, max_size=40))
async def test_all_or_none_on_a_router_that_fails(
    session: aiohttp.ClientSession, forward: Forward, moods: list[str]
) -> None:
    """What stands afterwards is all of it, or told as left; unless an answer came to nothing."""
    table = Table(cycle(moods), cycle(["501"]))
    wire = Wire(session, table.answer)
    driver = _driver(wire, session)
    plan = driver.plan(forward)
    try:
        granted = await driver.open(forward, HOUR)
    except RouterError as error:
        check_error(error)
        left, stand = set(error.left), {_key(mapping) for mapping in error.left}
    else:
        left, stand = set(), {_key(mapping) for mapping in plan}
        assert set(table.rows) == stand
        assert [(row.key, row.target) for row in granted] == [(row.key, row.target) for row in plan]
    assert left <= set(plan)
    assert set(table.rows) <= stand
    count()
    _asked_only_for(wire, driver, forward)


@inputs(40)
@given(
    forwards,
    st.lists(st.sampled_from((*MOODS, "refuses", "garbage", "lies")), min_size=1, max_size=40),
    st.lists(st.sampled_from(CODES), min_size=1, max_size=10),
)
async def test_never_other_than_asked_on_a_router_that_lies(
    session: aiohttp.ClientSession, forward: Forward, moods: list[str], codes: list[str]
) -> None:
    table = Table(cycle(moods), cycle(codes))
    wire = Wire(session, table.answer)
    driver = _driver(wire, session)
    try:
        granted = await driver.open(forward, HOUR)
        for mapping in granted:
            await driver.close(mapping)
    except RouterError as error:
        check_error(error)
    count()
    _asked_only_for(wire, driver, forward)
    assert len(wire.asked) < 3000
