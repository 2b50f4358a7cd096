"""The file of the ledger holds what the ledger holds, after every change and every failed one."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError

from custom_components.port_forward.openings import Ledger, Opening, Phase
from custom_components.port_forward.openings import ledger as module
from custom_components.port_forward.routers.model import Forward, PortMapping, PortRange, Protocol

NOW = datetime(2026, 11, 22, 17, tzinfo=UTC)


def opening(number: int, version: int) -> Opening:
    """One of a forward, and another one for each version."""
    port = PortRange.single(1000 + number)
    return Opening(
        forward=Forward(
            id=f"forward{number}",
            name=f'Café "{number}"',
            internal_host=IPv4Address("192.0.2.5"),
            protocols=(Protocol.TCP,),
            external_ports=port,
            internal_ports=port,
        ),
        mappings=(
            PortMapping(
                protocols=(Protocol.TCP,),
                external_ports=port,
                internal_host="192.0.2.5",
                internal_ports=port,
            ),
        ),
        phase=Phase.OPEN if version % 2 else Phase.CLOSING,
        opened_at=NOW,
        asked_at=NOW,
        deadline=NOW + timedelta(seconds=version),
    )


async def on_disk(hass: HomeAssistant) -> dict[str, Opening]:
    """Read the file as the next start would."""
    ledger = Ledger(hass, "router")
    await ledger.load()
    return ledger.openings


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_written_is_what_there_is(
    hass: HomeAssistant, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)  # noqa: S311  for variety
    ledger = Ledger(hass, "router")
    await ledger.record()
    write = module._write
    full = False

    def write_or_not(path: Path, data: dict[str, object]) -> None:
        if full:
            raise HomeAssistantError("disk full")
        write(path, data)

    monkeypatch.setattr(module, "_write", write_or_not)
    for version in range(40):
        full = chance.random() < 0.3
        stored = await on_disk(hass)
        some = [opening(chance.randrange(6), version) for _ in range(chance.randrange(1, 3))]
        try:
            match chance.randrange(3):
                case 0:
                    await ledger.record(*some)
                case 1:
                    ledger.put(*some)
                    await ledger.save()
                case _:
                    ledger.drop(*(row.forward.id for row in some))
                    await ledger.save()
        except HomeAssistantError:
            assert full
            assert await on_disk(hass) == stored
        else:
            assert not full
            assert await on_disk(hass) == ledger.openings
            assert not ledger.is_unsaved


async def test_one_that_is_changed_and_changed_back_is_written_each_time(
    hass: HomeAssistant,
) -> None:
    ledger = Ledger(hass, "router")
    first, other = opening(1, 1), opening(2, 1)
    for now in (first, replace(first, deadline=None), first):
        await ledger.record(now, other)
        assert await on_disk(hass) == {"forward1": now, "forward2": other}
        assert list(await on_disk(hass)) == list(ledger.openings)
