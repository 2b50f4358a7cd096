"""Rules that are ours, the user's, and those that changed between two looks."""

from dataclasses import replace

import pytest

from custom_components.port_forward.routers.errors import (
    NotClosedError,
    NotMappedError,
    NotPermittedError,
    PortConflictError,
    RuleChangedError,
)
from custom_components.port_forward.routers.model import PortMapping
from lab.opnsense import Fault
from tests.lab.conftest import Inside
from tests.lab.control_point import talk

from ..forwards import forward
from .home import CAMERA, HOUR, Home


def from_the_ledger(mapping: PortMapping, *, with_id: bool = True) -> PortMapping:
    """What a restart leaves of a mapping; the id is there only if `open` returned."""
    return replace(mapping, description="", id=mapping.id if with_id else "")


@pytest.mark.parametrize("with_id", [True, False])
async def test_closed_after_a_restart(home: Home, *, with_id: bool) -> None:
    (granted,) = await home.driver.open(forward(8443), HOUR)
    await home.another_driver().close(from_the_ledger(granted, with_id=with_id))
    assert not home.saved()
    assert not home.in_force()


async def test_made_and_not_applied_when_we_died(home: Home, inside: Inside) -> None:
    """The list shows it as open, so it has to become so, once."""
    wanted = forward(internal=inside.port)
    await home.driver.open(wanted, HOUR)
    await home.firewall.pf.load(())
    again = home.another_driver()
    (mapping,) = (from_the_ledger(m, with_id=False) for m in again.plan(wanted))
    snapshot = await again.snapshot([mapping])
    assert snapshot.find(mapping)
    assert await talk(wanted.external_ports.first, b"hello") == b"HELLO"
    home.firewall.requests.clear()
    await again.snapshot([mapping])
    assert not home.firewall.requests["apply"]


@pytest.mark.parametrize("with_id", [True, False])
async def test_a_rule_of_the_users_to_the_same_target_is_not_ours(
    home: Home, *, with_id: bool
) -> None:
    uuid = home.add_foreign(8443, target="127.0.0.1", **{"local-port": "8443"})
    (mapping,) = home.driver.plan(forward(8443))
    known = replace(mapping, id="another" if with_id else "")
    await home.driver.close(from_the_ledger(known, with_id=with_id))
    assert home.firewall.table[uuid]["disabled"] == "0"


@pytest.mark.parametrize("how", ["switch", "id"])
async def test_unless_the_user_means_this_very_one(home: Home, how: str) -> None:
    uuid = home.add_foreign(8443, target="127.0.0.1", **{"local-port": "8443"}, log="1")
    before = dict(home.firewall.table[uuid])
    (mapping,) = home.driver.plan(forward(8443))
    (row,) = (await home.driver.snapshot()).mappings
    assert row.same_rule(mapping)
    await home.driver.close(row if how == "id" else mapping)
    assert home.firewall.table[uuid] == {**before, "disabled": "1"}
    assert home.firewall.pf.rules[0]["disabled"] == "1"
    await home.driver.close(row)


async def test_ours_is_closed_before_one_of_the_users_is(home: Home) -> None:
    (granted,) = await home.driver.open(forward(8443), HOUR)
    uuid = home.add_foreign(8443, target="127.0.0.1", **{"local-port": "8443"})
    (mapping,) = home.driver.plan(forward(8443))
    await home.driver.close(mapping)
    assert home.firewall.table.uuids == [uuid]
    assert home.firewall.table[uuid]["disabled"] == "0"
    await home.driver.close(granted)
    assert home.firewall.table[uuid]["disabled"] == "0"


@pytest.mark.parametrize(
    "fields",
    [
        {"target": CAMERA},
        {"local-port": "22"},
        {"destination": {"port": "9999"}},
        {"source": {"network": "203.0.113.9"}},
        {"protocol": "udp"},
    ],
)
async def test_an_id_that_names_another_rule_now(home: Home, fields: dict[str, object]) -> None:
    (granted,) = await home.driver.open(forward(8443), HOUR)
    home.edit(granted.id, **fields, descr="Mine now")
    before = home.saved()
    await home.driver.close(granted)
    with pytest.raises(RuleChangedError):
        await home.driver.set_enabled(granted, enabled=False)
    assert home.saved() == before


async def test_edited_between_look_and_delete(home: Home) -> None:
    """The first delete says that it failed; before the next the list is read anew."""
    (granted,) = await home.driver.open(forward(8443), HOUR)

    def on_request(action: str) -> None:
        if action == "delRule":
            home.edit(granted.id, target=CAMERA)

    home.firewall.on_request = on_request
    home.firewall.fault(Fault.IGNORED, action="delRule")
    await home.driver.close(granted)
    assert home.firewall.requests["delRule"] == 1
    assert granted.id in home.firewall.table


async def test_switched_off_by_hand_and_opened_again(home: Home) -> None:
    (granted,) = await home.driver.open(forward(8443), HOUR)
    home.firewall.table.toggle(granted.id, "1")
    row = (await home.driver.snapshot()).find(granted)
    assert row
    assert not row.enabled
    (again,) = await home.driver.open(forward(8443), HOUR, ours=[granted])
    assert again.enabled
    assert len(home.saved()) == 1


async def test_deleted_by_hand_and_opened_again(home: Home) -> None:
    (granted,) = await home.driver.open(forward(8443), HOUR)
    home.firewall.table.delete(granted.id)
    assert (await home.driver.snapshot()).find(granted) is None
    (again,) = await home.driver.open(forward(8443), HOUR, ours=[granted])
    assert again.id != granted.id


async def test_made_twice_is_closed_together(home: Home) -> None:
    (granted,) = await home.driver.open(forward(8443), HOUR)
    twin = dict(home.firewall.table[granted.id])
    home.firewall.table.add({**twin, "source": {}, "destination": {"port": "8443"}}, "ha")
    for uuid in home.firewall.table.uuids:
        home.firewall.table[uuid].update(twin)
    await home.driver.open(forward(8443), HOUR, ours=[granted])
    await home.driver.close(granted)
    assert not home.saved()


class TestAdopted:
    """An existing rule of the user's, switched instead of made and deleted."""

    async def test_switched_on_and_off(self, home: Home, inside: Inside) -> None:
        port = forward().external_ports.first
        fields = {"target": "127.0.0.1", "local-port": str(inside.port), "log": "1"}
        uuid = home.add_foreign(port, **fields, disabled="1", natreflection="purenat")
        before = dict(home.firewall.table[uuid])
        (row,) = (await home.driver.snapshot()).mappings
        shown = await home.driver.set_enabled(row, enabled=True)
        assert shown == replace(row, enabled=True)
        assert await talk(port, b"hello") == b"HELLO"
        shown = await home.driver.set_enabled(from_the_ledger(row), enabled=False)
        assert not shown.enabled
        assert shown.description == "Camera by hand"
        with pytest.raises(ConnectionRefusedError):
            await talk(port, b"hello")
        assert home.firewall.table[uuid] == before

    async def test_twice_is_the_same(self, home: Home) -> None:
        home.add_foreign(8443)
        (row,) = (await home.driver.snapshot()).mappings
        await home.driver.set_enabled(row, enabled=True)
        assert "toggleRule" not in home.firewall.requests
        await home.driver.set_enabled(row, enabled=False)
        await home.driver.set_enabled(row, enabled=False)
        assert home.firewall.requests["toggleRule"] == 1

    async def test_gone(self, home: Home) -> None:
        uuid = home.add_foreign(8443)
        (row,) = (await home.driver.snapshot()).mappings
        home.firewall.table.delete(uuid)
        with pytest.raises(RuleChangedError) as raised:
            await home.driver.set_enabled(row, enabled=True)
        assert raised.value.placeholders == {"port": "8443"}

    async def test_gone_and_still_in_force(self, home: Home) -> None:
        uuid = home.add_foreign(8443)
        (row,) = (await home.driver.snapshot()).mappings
        home.firewall.table.delete(uuid)
        with pytest.raises(RuleChangedError):
            await home.driver.set_enabled(row, enabled=False)
        assert not home.in_force()

    async def test_edited_before_it_is_switched_on(self, home: Home) -> None:
        """What we switched on then leads where nobody has asked for: it never gets in force."""
        uuid = home.add_foreign(8443, disabled="1")
        (row,) = (await home.driver.snapshot()).mappings

        def on_request(action: str) -> None:
            if action == "toggleRule":
                home.firewall.on_request = None
                home.edit(uuid, target="192.168.1.99")

        home.firewall.on_request = on_request
        with pytest.raises(RuleChangedError):
            await home.driver.set_enabled(row, enabled=True)
        rule = home.firewall.table[uuid]
        assert (rule["target"], rule["disabled"]) == ("192.168.1.99", "1")
        assert not home.firewall.requests["apply"]

    async def test_another_rule_has_the_port_meanwhile(self, home: Home) -> None:
        home.add_foreign(8443, disabled="1")
        (row,) = (await home.driver.snapshot()).mappings
        home.add_foreign(8443, target="192.168.1.99")
        with pytest.raises(PortConflictError):
            await home.driver.set_enabled(row, enabled=True)
        await home.driver.set_enabled(row, enabled=False)

    async def test_it_would_open_more_than_it_tells(self, home: Home) -> None:
        home.add_foreign("", protocol="", **{"local-port": ""}, disabled="1")
        (row,) = (await home.driver.snapshot()).mappings
        with pytest.raises(NotPermittedError, match="all other protocols"):
            await home.driver.set_enabled(row, enabled=True)
        assert not home.firewall.requests["toggleRule"]
        home.edit(row.id, disabled="0")
        assert not (await home.driver.set_enabled(row, enabled=False)).enabled

    async def test_said_and_not_done(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        home.add_foreign(8443)
        (row,) = (await home.driver.snapshot()).mappings
        monkeypatch.setattr(home.firewall.table, "toggle", lambda *_: {"result": "Disabled"})
        with pytest.raises(NotClosedError):
            await home.driver.set_enabled(row, enabled=False)
        home.edit(row.id, disabled="1")
        monkeypatch.setattr(home.firewall.table, "toggle", lambda *_: {"result": "Enabled"})
        with pytest.raises(NotMappedError):
            await home.driver.set_enabled(row, enabled=True)
