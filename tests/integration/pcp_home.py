"""A home whose router speaks PCP or NAT-PMP, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.const import CONF_URL
from homeassistant.core import Event, EventStateChangedData, HomeAssistant, callback
from homeassistant.helpers.event import async_track_state_change_event
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.port_forward import news
from custom_components.port_forward.const import DOMAIN
from custom_components.port_forward.routers.pcp import PcpRouter, client
from custom_components.port_forward.routers.pcp.exchange import Repeats
from lab.virtual_router import Pcp, Quirk, UdpFault, VirtualRouter, free_port

from .conftest import add_forward, forward_data, set_up, state_of, stop_home_assistant

LAN_HOST = "127.0.0.1"
CAMERA = "127.0.0.5"
PORT_SENSOR = "sensor.camera_external_port"
EVENT = "event.camera_activity"

# Seconds that each request may take here: a silent router answers none, however long one waits.
# All others are answered within that, on a busy machine too.
PATIENCE = 1.0


@dataclass(kw_only=True)
class PcpHome:
    """The router, its entry, and what tests do with them."""

    hass: HomeAssistant
    router: VirtualRouter
    entry: MockConfigEntry

    async def add(self, port: int, **changes: Any) -> None:
        """Add the forward *Camera* and set the entry up."""
        data = forward_data(port, internal_host=CAMERA, internal_ports=str(port)) | changes
        add_forward(self.hass, self.entry, data)
        await set_up(self.hass, self.entry)

    @property
    def state(self) -> str:
        """What the switch shows."""
        return state_of(self.hass)

    @property
    def told(self) -> tuple[str | None, str | None]:
        """The kind and the reason of what happened last."""
        state = self.hass.states.get(EVENT)
        assert state
        return state.attributes["event_type"], state.attributes.get("reason")

    @property
    def ports(self) -> list[int]:
        """The external ports that the router has mapped."""
        return [row.external_port for row in self.router.mappings]

    @property
    def nonces(self) -> list[bytes]:
        """The nonces of what the router has mapped."""
        return [row.nonce for row in self.router.mappings]

    async def open(self) -> dict[str, Any]:
        """Call the action, and return what it answers for the camera."""
        answer = await self.hass.services.async_call(
            DOMAIN,
            "open",
            {"entity_id": "switch.camera"},
            blocking=True,
            return_response=True,
        )
        assert answer
        described = answer["switch.camera"]
        assert isinstance(described, dict)
        return described

    async def restart(self) -> None:
        """Restart Home Assistant, as far as the integration can tell."""
        await stop_home_assistant(self.hass, self.entry)
        await set_up(self.hass, self.entry)

    def fall_silent(self, action: str | None = None) -> None:
        """Let the router take no request of this name any more, or none at all."""
        self.router.fault(UdpFault.DROP_REQUEST, action=action, times=None)

    async def pass_time(self, freezer: FrozenDateTimeFactory, **ahead: float) -> None:
        """Let this much time pass at once; from then on it goes on as ever."""
        freezer.tick(timedelta(**ahead))
        async_fire_time_changed(self.hass)
        # What the router announced at that moment is not to arrive at the next one.
        for _ in range(5):
            await asyncio.sleep(0)
        await self.hass.async_block_till_done(wait_background_tasks=True)

    @asynccontextmanager
    async def becoming(self, entity_id: str, accept: Callable[[], bool]) -> AsyncIterator[None]:
        """Wait at the end until `accept` holds, looked at whenever the entity has a new state."""
        done = asyncio.Event()

        @callback
        def look(_event: Event[EventStateChangedData]) -> None:
            if accept():
                done.set()

        stop = async_track_state_change_event(self.hass, entity_id, look)
        try:
            yield
            async with asyncio.timeout(60):
                await done.wait()
        finally:
            stop()
        await self.hass.async_block_till_done(wait_background_tasks=True)


@asynccontextmanager
async def pcp_home(
    hass: HomeAssistant,
    monkeypatch: pytest.MonkeyPatch,
    *,
    quirks: Collection[Quirk] = (),
    announces: bool = True,
    **pcp: Any,
) -> AsyncIterator[PcpHome]:
    """Run a router that has been on for a day; `pcp` are the fields of its `Pcp`.

    It `announces` itself at a port of this test alone, and nobody waits for long.
    """
    announced_at = free_port(LAN_HOST)
    assert PcpRouter.__init__.__kwdefaults__
    monkeypatch.setitem(PcpRouter.__init__.__kwdefaults__, "announcement_port", announced_at)
    monkeypatch.setitem(PcpRouter.__init__.__kwdefaults__, "timeout", PATIENCE)
    # Nothing is lost here, it is only late: what is sent again would be counted again.
    monkeypatch.setattr(client, "NATPMP_REPEATS", Repeats(first=PATIENCE))
    monkeypatch.setattr(news, "_REST", 0)
    monkeypatch.setattr(news, "_ANSWERS_SOON", (0.1, 0.2, 0.5))
    settings = Pcp(announce_to=(LAN_HOST, announced_at) if announces else None, **pcp)
    async with VirtualRouter(upnp=False, quirks=quirks, pcp=settings) as router:
        router.age(86400)
        entry = MockConfigEntry(
            domain=DOMAIN,
            title="PCP router",
            unique_id=f"pcp-{LAN_HOST}",
            data={"driver": "pcp", CONF_URL: f"pcp://{LAN_HOST}:{router.pcp_port}"},
        )
        entry.add_to_hass(hass)
        yield PcpHome(hass=hass, router=router, entry=entry)
