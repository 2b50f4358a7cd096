"""The house in this process: a virtual router, and a Home Assistant that can be started again."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock, patch

from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.helpers import frame
from homeassistant.loader import DATA_CUSTOM_COMPONENTS
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_test_home_assistant,
)

from lab.virtual_router import VirtualRouter

from ..home import DOMAIN, Forward, stored_entry
from .clock import VirtualClockLoop


class House:
    """A router, and a Home Assistant that has it; `hass` and `entry` are others after a restart."""

    hass: HomeAssistant
    entry: MockConfigEntry

    def __init__(self, config: Path, router: VirtualRouter, stored: dict[str, Any]) -> None:
        """Take what Home Assistant has stored of the router; it is not started yet."""
        self.router = router
        self._config = config
        self._stored = stored
        self._running = AsyncExitStack()

    @property
    def ledger(self) -> Path:
        """Where the ledger is."""
        return self._config / ".storage" / f"{DOMAIN}.{self.entry.entry_id}"

    async def start(self) -> None:
        """Start a Home Assistant with nothing but what is on the disk."""
        self.hass, self.entry = await self._running.enter_async_context(
            _home_assistant(self._config, self._stored)
        )

    async def stop(self) -> None:
        """Let Home Assistant stop."""
        await self._running.aclose()

    async def call(self, action: str, entity_id: str, **data: Any) -> None:
        """Call an action as `domain.action`; raises RuntimeError when there is no such entity."""
        domain, service = action.split(".")
        if not self.hass.states.get(entity_id):
            # Home Assistant would pass over it in silence.
            raise RuntimeError(f"There is no {entity_id}: {self.hass.states.async_entity_ids()}")
        await self.hass.services.async_call(
            domain, service, {"entity_id": entity_id, **data}, blocking=True
        )


@contextmanager
def only_loopback() -> Iterator[None]:
    """Let Home Assistant have no adapter but loopback, and search for nobody."""
    loopback = Mock(
        nice_name="lo", ips=[Mock(is_IPv6=False, ip="127.0.0.1", network_prefix=8)], index=1
    )
    ssdp = "homeassistant.components.ssdp"
    with ExitStack() as stack:
        for method in (
            "Scanner._async_start_ssdp_listeners",
            "Scanner._async_stop_ssdp_listeners",
            "Scanner.async_scan",
            "Server._async_start_upnp_servers",
            "Server._async_stop_upnp_servers",
        ):
            stack.enter_context(patch(f"{ssdp}.{method}", _nothing))
        stack.enter_context(
            patch(
                "homeassistant.components.network.util.ifaddr.get_adapters",
                lambda: [loopback],
            )
        )
        yield


async def _nothing(*_: object, **__: object) -> None:
    """Do nothing; a mock would remember each call."""


@asynccontextmanager
async def _home_assistant(
    config: Path, stored: dict[str, Any]
) -> AsyncIterator[tuple[HomeAssistant, MockConfigEntry]]:
    """Give a Home Assistant that runs with this router."""
    async with async_test_home_assistant(config_dir=str(config)) as hass:
        try:
            frame.async_setup(hass)
            hass.data.pop(DATA_CUSTOM_COMPONENTS)
            entry = MockConfigEntry(
                domain=DOMAIN,
                entry_id=stored["entry_id"],
                title=stored["title"],
                unique_id=stored["unique_id"],
                data=stored["data"],
                options=stored["options"],
                subentries_data=stored["subentries"],
            )
            entry.add_to_hass(hass)
            # Which every Home Assistant has. It knows what is exposed to voice assistants.
            for component in ("homeassistant", DOMAIN):
                if not await async_setup_component(hass, component, {}):
                    raise RuntimeError(f"{component} was not set up")
            await hass.async_block_till_done()
            if entry.state is not ConfigEntryState.LOADED:
                raise RuntimeError(f"The router was not set up: {entry.state}, {entry.reason}")
            yield hass, entry
        finally:
            await hass.async_stop(force=True)
            cast("VirtualClockLoop", hass.loop).forget_timers("homeassistant", "custom_components")


async def stored_router(router: VirtualRouter, forwards: Sequence[Forward]) -> dict[str, Any]:
    """Return what Home Assistant stores of a router that it looks at once a minute."""
    return await stored_entry(
        0, router.description_url, {"refresh_interval": 60, "lease": 3600}, forwards
    )
