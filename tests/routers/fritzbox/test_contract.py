"""The contract of `Router`, kept on a FRITZ!Box."""

from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Address
from typing import Literal

import aiohttp
import pytest

from custom_components.port_forward.routers.errors import (
    MissingRightsError,
    NotPermittedError,
    PortConflictError,
    Refusal,
    RuleChangedError,
    SecondFactorError,
)
from custom_components.port_forward.routers.fritzbox import from_settings
from custom_components.port_forward.routers.model import Leases, Protocol
from lab.fritzbox import Fault, Lease, Sharing
from lab.fritzbox.sharing import TableError
from tests.lab.conftest import Inside
from tests.lab.control_point import talk

from ..forwards import forward, lasts
from .home import HOUR, OTHER_HOST, Home, home_with

TCP_AND_UDP = (Protocol.TCP, Protocol.UDP)


async def share(home: Home, port: int, *, host: str = "127.0.0.1", enabled: bool = True) -> None:
    """Let the user share a port on the page of the box."""
    await home.box.sharing.put(
        Sharing(
            protocol="TCP",
            external_port=port,
            host=host,
            internal_port=80,
            enabled=enabled,
            description="By hand",
        )
    )


def leases_of(home: Home) -> Leases:
    """What is known about leases by now."""
    return home.driver.capabilities.leases


async def test_connect(home: Home) -> None:
    info = await home.driver.connect()
    assert info.unique_id == "uuid:739f2409-bccb-40e7-8e6c-989BCB2B93B0"
    assert info.name == info.model == "FRITZ!Box 7590"
    assert info.manufacturer == "AVM"
    assert not home.box.sharing.rows


async def test_without_tls_the_password_is_not_sent_either(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session, tls=False) as home:
        await home.driver.connect()
        (granted,) = await home.driver.open(forward(), HOUR)
        await home.driver.close(granted)


async def test_capabilities(home: Home) -> None:
    can = home.driver.capabilities
    assert can.leases is Leases.UNPROVEN
    assert can.may_never_close
    assert not can.never_closes
    assert can.allowed_source is can.other_hosts is can.ipv6 is False
    assert not can.port_ranges
    assert not can.both_protocols


@pytest.mark.parametrize("connection", ["WANPPPConnection", "WANIPConnection"])
async def test_opens_and_closes_on_the_connection_in_use(
    session: aiohttp.ClientSession,
    inside: Inside,
    connection: Literal["WANPPPConnection", "WANIPConnection"],
) -> None:
    async with home_with(session, connection=connection) as home:
        wanted = forward(internal=inside.port)
        port = wanted.external_ports.first
        (granted,) = await home.driver.open(wanted, HOUR)
        assert granted.same_rule(home.driver.plan(wanted)[0])
        assert str(home.driver.owner_of(granted)) == "camera1"
        assert await talk(port, b"hello") == b"HELLO"
        snapshot = await home.driver.snapshot([granted])
        assert snapshot.external_address == IPv4Address("203.0.113.7")
        assert snapshot.connected is True
        assert snapshot.uptime is not None
        assert snapshot.find(granted)
        await home.driver.close(granted)
        await home.driver.close(granted)
        with pytest.raises(ConnectionRefusedError):
            await talk(port, b"hello")


async def test_one_row_for_each_protocol(home: Home) -> None:
    granted = await home.driver.open(forward(protocols=TCP_AND_UDP), HOUR)
    assert {row.protocol for row in home.box.sharing.rows} == {"TCP", "UDP"}
    for mapping in granted:
        await home.driver.close(mapping)
    assert not home.box.sharing.rows


async def test_opening_again_keeps_the_row(home: Home) -> None:
    wanted = forward()
    granted = await home.driver.open(wanted, HOUR)
    await home.another_driver().open(wanted, HOUR, ours=granted)
    assert len(home.box.sharing.rows) == 1


async def test_only_own_rows_are_listed(home: Home) -> None:
    await share(home, 8080, host=OTHER_HOST)
    assert len((await home.driver.snapshot()).mappings) == 1
    home.box.connection.own_rows_only = True
    granted = await home.driver.open(forward(), HOUR)
    assert len((await home.driver.snapshot(granted)).mappings) == 1


async def test_somebody_else_has_the_port(home: Home) -> None:
    await share(home, 8443, host=OTHER_HOST)
    with pytest.raises(PortConflictError) as raised:
        await home.driver.open(forward(8443), HOUR)
    assert raised.value.placeholders["holder"] == f"{OTHER_HOST}:80 (By hand)"
    assert len(home.box.sharing.rows) == 1


@pytest.mark.parametrize("source", ["203.0.113.5/32", "203.0.113.0/24"])
async def test_no_source_can_be_limited(home: Home, source: str) -> None:
    with pytest.raises(NotPermittedError) as raised:
        home.driver.plan(forward(source=source))
    assert raised.value.reason is Refusal.ANY_SOURCE_ONLY
    assert home.driver.plan(forward(source="0.0.0.0/0"))


async def test_no_ipv6(home: Home) -> None:
    with pytest.raises(NotPermittedError) as raised:
        home.driver.plan(forward(8443, host=None, host6="2001:db8::5"))
    assert raised.value.reason is Refusal.NO_IPV6


@pytest.mark.parametrize("port", [8443, 443])
async def test_q13_own_host_only(home: Home, port: int) -> None:
    with pytest.raises(NotPermittedError) as raised:
        await home.driver.open(forward(port, host=OTHER_HOST), HOUR)
    assert raised.value.reason is Refusal.FRITZBOX_OWN_HOST
    assert raised.value.placeholders["host"] == OTHER_HOST
    assert raised.value.left == ()


@pytest.mark.parametrize("port", [8443, 443])
async def test_q13_permission_not_ticked(home: Home, port: int) -> None:
    home.box.sharing.permitted.clear()
    await home.driver.connect()
    with pytest.raises(NotPermittedError) as raised:
        await home.driver.open(forward(port), HOUR)
    assert raised.value.reason is Refusal.FRITZBOX_NOT_TICKED
    assert "606" in raised.value.placeholders["detail"]


async def test_q13_a_row_of_another_host_cannot_be_closed(home: Home) -> None:
    await share(home, 8080, host=OTHER_HOST)
    (row,) = (await home.driver.snapshot()).mappings
    with pytest.raises(NotPermittedError) as raised:
        await home.driver.close(row)
    assert raised.value.reason is Refusal.FRITZBOX_OWN_HOST
    assert len(home.box.sharing.rows) == 1


async def test_other_refusals_are_those_of_any_router(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    (granted,) = await home.driver.open(forward(), HOUR)

    async def fail(*_: object) -> None:
        raise TableError(501)

    monkeypatch.setattr(home.box.sharing, "add_for", fail)
    monkeypatch.setattr(home.box.sharing, "remove_for", fail)
    for doing in (home.driver.open(forward(8443), HOUR), home.driver.close(granted)):
        with pytest.raises(NotPermittedError, match="501") as raised:
            await doing
        assert raised.value.reason is Refusal.REFUSED


@pytest.mark.parametrize("address", ["", "100.64.0.7", "192.168.0.2"])
async def test_double_nat(home: Home, address: str) -> None:
    home.box.connection.external_address = address
    with pytest.raises(NotPermittedError) as raised:
        await home.driver.open(forward(8443), HOUR)
    assert raised.value.reason is Refusal.DOUBLE_NAT


async def test_permission_is_checked_with_nothing_open(home: Home) -> None:
    seen: list[bool] = []
    put = home.box.sharing.put

    async def watch(row: Sharing) -> None:
        seen.append(row.enabled)
        await put(row)

    home.box.sharing.put = watch  # type: ignore[method-assign]  # to see every row
    await home.driver.check_rights()
    assert seen == [False]
    assert not home.box.sharing.rows
    home.box.sharing.permitted.clear()
    with pytest.raises(NotPermittedError) as raised:
        await home.driver.check_rights()
    assert raised.value.reason is Refusal.FRITZBOX_NOT_TICKED
    home.box.connection.second_factor = True
    with pytest.raises(SecondFactorError):
        await home.driver.check_rights()


async def test_permission_is_not_asked_for_on_a_port_in_use(home: Home) -> None:
    taken = Sharing(protocol="UDP", external_port=65534, host="127.0.0.1", internal_port=9)
    await home.box.sharing.put(taken)
    await home.driver.check_rights()
    assert home.box.sharing.rows == (taken,)


async def test_second_factor(home: Home) -> None:
    (granted,) = await home.driver.open(forward(), HOUR)
    home.box.connection.second_factor = True
    with pytest.raises(SecondFactorError) as raised:
        await home.driver.open(forward(8443), HOUR)
    assert raised.value.left == ()
    with pytest.raises(SecondFactorError):
        await home.driver.close(granted)
    await home.driver.snapshot()


async def test_an_account_without_the_right(home: Home) -> None:
    home.box.settings_right = False
    with pytest.raises(MissingRightsError) as raised:
        await home.driver.connect()
    assert raised.value.placeholders["detail"] == "FRITZ!Box Settings"


async def test_the_right_is_taken_away_later(home: Home) -> None:
    (granted,) = await home.driver.open(forward(), HOUR)
    home.box.sharing.permitted.clear()
    home.box.settings_right = False
    for doing in (
        home.driver.snapshot(),
        home.driver.open(forward(8443), HOUR),
        home.driver.close(granted),
    ):
        with pytest.raises(MissingRightsError):
            await doing
    assert len(home.box.sharing.rows) == 1
    home.box.settings_right = True
    await home.driver.close(granted)


class TestLeases:
    """Nobody knows what AVM makes of a lease; the driver believes what it sees."""

    async def test_ignored_and_shown_as_none(self, home: Home) -> None:
        (granted,) = await home.driver.open(forward(), HOUR)
        assert granted.lease is None
        assert leases_of(home) is Leases.IGNORED
        assert not home.driver.capabilities.closes_by_itself

    async def test_shown_and_not_kept(self, session: aiohttp.ClientSession) -> None:
        async with home_with(session, lease=Lease.ECHOED) as home:
            (granted,) = await home.driver.open(forward(), HOUR)
            assert home.box.sharing.rows[0].lease == HOUR.total_seconds()
            assert granted.lease is None
            assert leases_of(home) is Leases.UNPROVEN
            await home.driver.snapshot([granted])
            assert leases_of(home) is Leases.UNPROVEN
            home.clock.now += timedelta(minutes=1)
            await home.driver.snapshot([granted])
            assert leases_of(home) is Leases.IGNORED
            # It says so again, and is not believed any more.
            again = home.another_driver(learned=home.driver.learned)
            await again.open(forward(), HOUR)
            assert again.capabilities.leases is Leases.IGNORED

    async def test_kept(self, session: aiohttp.ClientSession) -> None:
        async with home_with(session, lease=Lease.KEPT) as home:
            (granted,) = await home.driver.open(forward(), HOUR)
            assert leases_of(home) is Leases.UNPROVEN
            (row,) = home.box.sharing.rows
            assert row.until is not None
            # A minute later, for both.
            home.clock.now += timedelta(minutes=1)
            home.box.sharing._rows[row.place] = replace(row, until=row.until - 60)
            (shown,) = (await home.driver.snapshot([granted])).mappings
            assert lasts(shown, HOUR - timedelta(minutes=1))
            assert leases_of(home) is Leases.KEPT
            assert home.driver.capabilities.closes_by_itself
            assert not home.driver.capabilities.may_never_close
            again = home.another_driver(learned=home.driver.learned)
            assert again.capabilities.leases is Leases.KEPT
            (renewed,) = await again.open(forward(), HOUR)
            assert lasts(renewed, HOUR)

    async def test_what_a_failed_opening_heard_is_not_believed(
        self, session: aiohttp.ClientSession
    ) -> None:
        async with home_with(session, lease=Lease.ECHOED) as home:
            wanted = forward(protocols=TCP_AND_UDP)
            await home.box.sharing.put(
                Sharing(
                    protocol="UDP",
                    external_port=wanted.external_ports.first,
                    host=OTHER_HOST,
                    internal_port=9,
                )
            )
            with pytest.raises(PortConflictError):
                await home.driver.open(wanted, HOUR)
            assert leases_of(home) is Leases.UNPROVEN


class TestAdopted:
    """A row that the user has made, switched instead of made and deleted."""

    async def test_switched_on_and_off(self, home: Home) -> None:
        await share(home, 8080)
        before = home.box.sharing.rows
        (row,) = (await home.driver.snapshot()).mappings
        off = await home.driver.set_enabled(row, enabled=False)
        assert not off.enabled
        assert off.description == "By hand"
        assert home.box.sharing.rows == (replace(before[0], enabled=False),)
        assert (await home.driver.set_enabled(row, enabled=True)).enabled
        assert home.box.sharing.rows == before
        home.box.requests.clear()
        await home.driver.set_enabled(row, enabled=True)
        assert not home.box.requests["AddPortMapping"]

    async def test_gone_or_another(self, home: Home) -> None:
        await share(home, 8080)
        (row,) = (await home.driver.snapshot()).mappings
        await home.box.sharing.remove(("TCP", 8080))
        with pytest.raises(RuleChangedError):
            await home.driver.set_enabled(row, enabled=True)
        await share(home, 8080, host=OTHER_HOST)
        with pytest.raises(RuleChangedError):
            await home.driver.set_enabled(row, enabled=False)
        assert home.box.sharing.rows[0].enabled

    async def test_of_another_host(self, home: Home) -> None:
        await share(home, 8080, host=OTHER_HOST)
        (row,) = (await home.driver.snapshot()).mappings
        with pytest.raises(NotPermittedError) as raised:
            await home.driver.set_enabled(row, enabled=False)
        assert raised.value.reason is Refusal.FRITZBOX_OWN_HOST

    @pytest.mark.parametrize("enabled", [True, False])
    async def test_said_and_not_done(self, home: Home, *, enabled: bool) -> None:
        await share(home, 8080, enabled=not enabled)
        (row,) = (await home.driver.snapshot()).mappings
        home.box.fault(Fault.IGNORED, action="AddPortMapping")
        with pytest.raises(Exception, match="not_mapped" if enabled else "not_closed"):
            await home.driver.set_enabled(row, enabled=enabled)


async def test_a_row_that_leads_elsewhere_by_now_is_left_alone(home: Home) -> None:
    wanted = forward()
    (granted,) = await home.driver.open(wanted, HOUR)
    port = wanted.external_ports.first
    await share(home, port)
    await home.driver.close(granted)
    assert [row.description for row in home.box.sharing.rows] == ["By hand"]


async def test_registry_factory(home: Home) -> None:
    driver = from_settings(home.session, home.box.settings, learned={"a": "b"})
    assert driver.learned == {"a": "b"}
    await driver.connect()
