"""Host names: looked up side by side, by few threads, and waited for with limited patience."""

import asyncio
import socket
from functools import partial
from typing import Final

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.singleton import singleton

from ..const import DOMAIN

# Seconds. Left alone, the resolver of the system tries for half a minute.
_PATIENCE: Final = 3.0
# Each takes one of Home Assistant's 64 threads for as long as the name server is silent.
_AT_ONCE: Final = 16


@singleton(f"{DOMAIN}_names")
@callback
def async_get_names(hass: HomeAssistant) -> Names:
    """Return what looks names up for all routers."""
    return Names(hass)


class Names:
    """Looks names up, each of them once at a time."""

    def __init__(self, hass: HomeAssistant) -> None:
        """Start without any."""
        self._hass = hass
        self._turns = asyncio.Semaphore(_AT_ONCE)
        # By the name and the family of addresses; when it was first asked for.
        self._under_way: dict[
            tuple[str, socket.AddressFamily], tuple[asyncio.Task[list[str]], float]
        ] = {}

    async def async_look_up(self, host: str, family: socket.AddressFamily) -> list[str]:
        """Return the addresses of a name, none when there are none.

        While a name is being looked up, all who ask for it get that answer.
        Raises TimeoutError when it takes too long, and at once for a name that
        has already taken too long.
        """
        key, now = (host, family), self._hass.loop.time()
        if key not in self._under_way:
            task = self._hass.async_create_background_task(
                self._async_ask(host, family), f"{DOMAIN} look up {host}"
            )
            self._under_way[key] = task, now
            task.add_done_callback(partial(self._forget, key))
        task, since = self._under_way[key]
        await asyncio.wait((task,), timeout=max(since + _PATIENCE - now, 0))
        if not task.done() or task.cancelled():
            raise TimeoutError
        return task.result()

    def _forget(
        self, key: tuple[str, socket.AddressFamily], _task: asyncio.Task[list[str]]
    ) -> None:
        del self._under_way[key]

    async def _async_ask(self, host: str, family: socket.AddressFamily) -> list[str]:
        async with self._turns:
            try:
                found = await self._hass.loop.getaddrinfo(
                    host, None, family=family, type=socket.SOCK_STREAM
                )
            # UnicodeError: a label of more than 63 characters.
            except OSError, UnicodeError:
                return []
        return [str(sockaddr[0]) for *_, sockaddr in found]
