"""JSON nested deeper than Python can follow: an answer that makes no sense, and no crash."""

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from custom_components.port_forward.routers.errors import ProtocolError
from custom_components.port_forward.routers.registry import DRIVERS

# A tenth of what is read of an answer at most.
DEPTH = 100_000


@pytest.mark.parametrize("driver", ["mikrotik", "openwrt", "opnsense", "unifi"])
async def test_bottomless(session: aiohttp.ClientSession, driver: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="[" * DEPTH, content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        settings = {
            "url": f"http://127.0.0.1:{server.port}",
            "username": "ha",
            "password": "secret",
            "api_key": "key",
            "api_secret": "secret",
        }
        with pytest.raises(ProtocolError):
            await DRIVERS[driver](session, settings, learned={}).connect()
