"""A client of the REST API that knows nothing of our driver."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from lab.mikrotik import MikrotikRouter, User

NAT = "ip/firewall/nat"
LIST = "ip/firewall/address-list"


class Client:
    """Asks as `curl` would."""

    def __init__(self, session: aiohttp.ClientSession, router: MikrotikRouter, user: User) -> None:
        self._session = session
        self._router = router
        self._auth = aiohttp.encode_basic_auth(user.name, user.password)

    async def ask(self, method: str, path: str, body: dict[str, str] | None = None) -> Any:  # noqa: ANN401  JSON
        """Return status and answer."""
        async with self._session.request(
            method,
            f"{self._router.url}/rest/{path}",
            json=body,
            headers={"Authorization": self._auth},
        ) as response:
            return response.status, await response.json() if response.status != 204 else None

    async def add(self, path: str, **values: str) -> dict[str, str]:
        """Add an item, `_` for `-`; return it."""
        body = {key.replace("_", "-"): value for key, value in values.items()}
        status, item = await self.ask("PUT", path, body)
        assert status == 201, item
        assert isinstance(item, dict)
        return item

    async def list(self, path: str) -> list[dict[str, str]]:
        """Return all items of a menu."""
        status, items = await self.ask("GET", path)
        assert status == 200
        assert isinstance(items, list)
        return items


@asynccontextmanager
async def client_of(router: MikrotikRouter, user: User | None = None) -> AsyncIterator[Client]:
    """Log in as the user of the router, or another one."""
    async with aiohttp.ClientSession() as session:
        yield Client(session, router, user or router.users[0])
