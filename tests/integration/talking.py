"""Assist, as somebody speaks to it."""

import asyncio
from typing import Self

from homeassistant.components import conversation
from homeassistant.core import Context, HomeAssistant
from homeassistant.helpers import intent
from homeassistant.setup import async_setup_component


async def set_up_assist(hass: HomeAssistant) -> None:
    """Set up the conversation agent that Home Assistant comes with."""
    for component in ("homeassistant", "conversation"):
        assert await async_setup_component(hass, component, {})
    await hass.async_block_till_done()


async def say(
    hass: HomeAssistant, text: str, *, by: Context | None = None, language: str = "en"
) -> intent.IntentResponse:
    """Say something to Assist and return what it makes of it."""
    result = await conversation.async_converse(hass, text, None, by or Context(), language=language)
    await hass.async_block_till_done()
    return result.response


def spoken(response: intent.IntentResponse) -> str:
    """Return what Assist answers aloud."""
    answer: str = response.speech["plain"]["speech"]
    return answer


class Camera:
    """A camera at port 8080 of a host, and somebody on the internet who looks for it."""

    def __init__(self, host: str, external_port: int) -> None:
        self._host = host
        self._external_port = external_port

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._show, self._host, 8080)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def is_reached(self) -> bool:
        """Tell whether the camera shows itself at the external port."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._external_port)
        except ConnectionRefusedError:
            return False
        picture = await reader.read()
        writer.close()
        await writer.wait_closed()
        return picture == b"the front door"

    @staticmethod
    async def _show(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"the front door")
        writer.close()
        await writer.wait_closed()
