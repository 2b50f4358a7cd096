"""The front door camera."""

import re

import aiohttp
import pytest

from lab.camera import Camera
from lab.virtual_router import free_port
from tests.lab.control_point import ControlPoint
from tests.lab.test_nat import ask


async def test_page_clock_and_echo() -> None:
    async with Camera() as camera, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{camera.port}/"
        async with session.get(url) as response:
            page = await response.text()
        assert "<svg" in page
        assert "%TIME%" not in page
        assert not re.search(r'(src|href)="', page), "the page needs nothing but itself"
        async with session.get(f"{url}time") as response:
            assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", await response.text())
        assert camera.requests == 2
        assert await ask(camera.port, b"hello") == b"hello"


async def test_through_the_router(igd: ControlPoint) -> None:
    external = free_port()
    async with Camera() as camera, aiohttp.ClientSession() as session:
        await igd.add(external, InternalPort=camera.port)
        await igd.add(external, InternalPort=camera.port, Protocol="UDP")
        async with session.get(f"http://127.0.0.1:{external}/") as response:
            assert "Front door camera" in await response.text()
        assert await ask(external, b"hello") == b"hello"


async def test_port_of_choice() -> None:
    port = free_port()
    async with Camera(port=port) as camera:
        assert camera.port == port
        with pytest.raises(OSError, match="in use"):
            async with Camera(port=port):
                pass
