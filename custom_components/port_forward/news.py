"""What a router says by itself, so that nobody has to wait for the next look at it.

An announcement is only a hint: whatever it says, the router itself is looked
at, and only what it answers changes anything.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from typing import Final

from homeassistant.components import ssdp
from homeassistant.components.ssdp.scanner import SsdpChange
from homeassistant.core import callback
from homeassistant.helpers.service_info.ssdp import SsdpServiceInfo

from .const import DOMAIN
from .coordinator import PortForwardConfigEntry, PortForwardCoordinator

# A router that says that it is back may not answer yet; seconds until it is asked again.
_ANSWERS_SOON: Final = (2.0, 5.0, 10.0)

# However much it says, it is looked at no more often than that: seconds.
_REST: Final = 2.0

_BOOT_ID: Final = "bootid.upnp.org"


async def async_listen_for_news(entry: PortForwardConfigEntry) -> None:
    """Look at the router of the entry whenever it says something, until the entry is unloaded."""
    coordinator = entry.runtime_data
    news = _News(entry)
    stack = AsyncExitStack()
    entry.async_on_unload(stack.aclose)
    await stack.enter_async_context(coordinator.router.watch(news.tell))
    stack.callback(
        await ssdp.async_register_callback(
            coordinator.hass,
            _ssdp_listener(coordinator, news.tell),
            {"_udn": entry.unique_id or ""},
        )
    )


class _News:
    """Looks at the router after it has said something."""

    def __init__(self, entry: PortForwardConfigEntry) -> None:
        self._entry = entry
        self._coordinator = entry.runtime_data
        self._more = asyncio.Event()
        self._looking = False

    @callback
    def tell(self) -> None:
        self._more.set()
        if not self._looking:
            self._looking = True
            self._entry.async_create_background_task(
                self._coordinator.hass, self._look(), f"{DOMAIN} news of {self._entry.title}"
            )

    async def _look(self) -> None:
        try:
            while self._more.is_set():
                await self._look_until_it_answers()
                await asyncio.sleep(_REST)
        finally:
            self._looking = False

    async def _look_until_it_answers(self) -> None:
        for pause in (*_ANSWERS_SOON, None):
            self._more.clear()
            await self._coordinator.async_refresh()
            if self._coordinator.last_update_success or pause is None:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._more.wait(), pause)


def _ssdp_listener(
    coordinator: PortForwardCoordinator, tell: Callable[[], None]
) -> Callable[[SsdpServiceInfo, SsdpChange], None]:
    @callback
    def on_message(info: SsdpServiceInfo, change: SsdpChange) -> None:
        # Anybody may announce a router; only what its own address sent counts.
        if info.ssdp_headers.get("_host") != str(coordinator.router_address):
            return
        began_anew = coordinator.note_boot_id(info.ssdp_headers.get(_BOOT_ID))
        is_away = not coordinator.last_update_success
        if began_anew or is_away or change is SsdpChange.BYEBYE:
            tell()

    return on_message
