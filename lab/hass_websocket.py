"""The WebSocket API of a Home Assistant, as its frontend uses it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Self

import aiohttp


class CommandError(Exception):
    """Home Assistant refused a command: its code, and the text that the user would see."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        """Take the `error` of the answer."""
        self.code: str = error["code"]
        self.message: str = error["message"]
        self.translation_key: str | None = error.get("translation_key")
        self.placeholders: Mapping[str, str] = error.get("translation_placeholders") or {}
        super().__init__(f"{self.message} ({self.code})")


class HassWebSocket:
    """One authenticated connection; any number of commands at the same time."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Take a connection that has passed authentication; `connect` makes one."""
        self._socket = socket
        self._ids = count(1)
        self._results: dict[int, asyncio.Future[Any]] = {}
        self._events: dict[int, asyncio.Queue[Any]] = {}
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def connect(cls, session: aiohttp.ClientSession, url: str, token: str) -> Self:
        """Connect to the Home Assistant at `url`.

        Raises aiohttp.ClientError when nothing answers, ConnectionError when it
        does not take the token.
        """
        socket = await session.ws_connect(f"{url}/api/websocket", max_msg_size=0)
        await socket.receive_json()  # auth_required
        await socket.send_json({"type": "auth", "access_token": token})
        answer = await socket.receive_json()
        if answer["type"] != "auth_ok":
            await socket.close()
            raise ConnectionError(answer.get("message", answer["type"]))
        return cls(socket)

    @property
    def closed(self) -> bool:
        """Whether nothing more will come."""
        return self._reader.done()

    async def close(self) -> None:
        """Hang up; what still waits for an answer gets a ConnectionError."""
        await self._socket.close()
        await self._reader

    async def command(self, type_: str, **fields: Any) -> Any:  # noqa: ANN401  any JSON
        """Send a command and return its result.

        Raises CommandError when it is refused, ConnectionError when Home
        Assistant goes away before it has answered.
        """
        return await self._send(next(self._ids), type_, fields)

    @asynccontextmanager
    async def subscribe(self, type_: str, **fields: Any) -> AsyncIterator[asyncio.Queue[Any]]:
        """Send a command that subscribes to something; its events come in the queue.

        The queue is shut down when Home Assistant goes away.
        """
        id_ = next(self._ids)
        events = self._events[id_] = asyncio.Queue()
        try:
            await self._send(id_, type_, fields)
            yield events
        finally:
            del self._events[id_]
            if not self.closed:
                await self.command("unsubscribe_events", subscription=id_)

    async def _send(self, id_: int, type_: str, fields: Mapping[str, Any]) -> Any:  # noqa: ANN401
        if self.closed:
            raise ConnectionError("Home Assistant has hung up")
        result = self._results[id_] = asyncio.get_running_loop().create_future()
        try:
            await self._socket.send_json({"id": id_, "type": type_, **fields})
            return await result
        finally:
            del self._results[id_]

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                answers = message.json()
                for answer in answers if isinstance(answers, list) else [answers]:
                    self._dispatch(answer)
        for result in self._results.values():
            if not result.done():
                result.set_exception(ConnectionError("Home Assistant has hung up"))
        for events in self._events.values():
            events.shutdown()

    def _dispatch(self, answer: Mapping[str, Any]) -> None:
        if answer["type"] == "event":
            # An event may still be on its way when its subscription has ended.
            if events := self._events.get(answer["id"]):
                events.put_nowait(answer["event"])
            return
        result = self._results.get(answer["id"])
        if result is None or result.done():
            return
        if answer["type"] == "pong" or answer["success"]:
            result.set_result(answer.get("result"))
        else:
            result.set_exception(CommandError(answer["error"]))
