"""A real Home Assistant in a process of its own, and what its frontend would say to it."""

import asyncio
import signal
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, override

import aiohttp

from .hass_config import REPOSITORY, prepare, variables
from .hass_websocket import CommandError, HassWebSocket
from .netns import Namespace
from .running import Running
from .virtual_router.ports import free_port

__all__ = ["REPOSITORY", "CommandError", "RealHomeAssistant"]

# An orderly stop takes 1.5 s; Home Assistant itself gives up on its stages after 100 s and more.
STOPS_WITHIN = 60

# Between two looks whether a starting Home Assistant answers yet: there is nothing to wait on.
LOOK_EVERY = 0.05


class RealHomeAssistant(Running):
    """`hass` on a seeded configuration with this integration, on 127.0.0.1 only.

    In a network namespace it is 127.0.0.1 there, and routers are discovered on
    its adapter `eth0`; else on loopback, where there are none but ours. As an
    async context manager it is started and stopped. Everything that the process
    prints, its log included, is appended to `log`.
    """

    def __init__(
        self,
        environment: Path,
        config: Path,
        *,
        port: int | None = None,
        namespace: Namespace | None = None,
    ) -> None:
        """Take a virtual environment that holds homeassistant, and a configuration directory.

        The directory is seeded when it is new. `port` None is one that is free
        now; it stays the same when Home Assistant is started again.
        """
        self.port = free_port() if port is None else port
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = config / "hass.log"
        self._environment = environment
        self._config = config
        self._namespace = namespace
        self._process: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None
        self._socket: HassWebSocket | None = None

    @property
    def token(self) -> str:
        """The administrator's long-lived access token, once seeded."""
        return (self._config / "token").read_text()

    @property
    def running(self) -> bool:
        """Whether it was started, and neither stopped, killed nor ended by itself."""
        return self._process is not None and self._process.returncode is None

    @override
    async def start(self, *, ready_within: float = 120) -> None:
        """Start `hass` and wait until it says that it is running.

        Raises RuntimeError with the end of the log when it ends instead, or
        cannot use its configuration, and
        TimeoutError after `ready_within` seconds; no process is left then.
        """
        namespace = self._namespace
        adapter = "eth0" if namespace else None
        await prepare(self._environment, self._config, self.port, adapter)
        command = (str(self._environment / "bin" / "hass"), "--config", str(self._config))
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(namespace.command(*command) if namespace else command),
                "--skip-pip",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=variables(),
                # A Ctrl-C in the terminal is for us, and we stop it in good order.
                start_new_session=True,
            )
        self._session = aiohttp.ClientSession(
            self.url,
            headers={"Authorization": f"Bearer {self.token}"},
            connector=namespace.connector() if namespace else None,
        )
        try:
            async with asyncio.timeout(ready_within):
                await self._until_running(self._process)
        except BaseException:
            await self.kill()
            raise

    @override
    async def stop(self) -> None:
        """Let Home Assistant stop in good order.

        Raises RuntimeError with the end of the log when it did not, or had
        ended before.
        """
        if (process := self._process) is None:
            return
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOPS_WITHIN):
                code = await process.wait()
        except BaseException:
            await self.kill()
            raise
        await self._hang_up()
        if code:
            raise RuntimeError(f"hass ended with exit code {code}:\n{self._end_of_log()}")

    async def wait(self) -> int:
        """Wait until Home Assistant ends by itself, and return its exit code.

        It is 100 when somebody chose to restart it (`homeassistant.const.RESTART_EXIT_CODE`),
        0 when somebody chose to stop it. It can be started again then.
        """
        if self._process is None:
            raise RuntimeError("hass is not running")
        code = await self._process.wait()
        await self._hang_up()
        return code

    async def kill(self) -> None:
        """End Home Assistant as a power failure would."""
        if (process := self._process) is None:
            return
        if process.returncode is None:
            process.kill()
        await process.wait()
        await self._hang_up()

    async def get(self, path: str) -> Any:  # noqa: ANN401  any JSON
        """GET `path`; raises aiohttp.ClientResponseError with what Home Assistant says."""
        return await self._request("GET", path)

    async def post(self, path: str, json: Mapping[str, Any]) -> Any:  # noqa: ANN401  any JSON
        """POST `json` to `path`; raises aiohttp.ClientResponseError as `get` does."""
        return await self._request("POST", path, json)

    async def delete(self, path: str) -> Any:  # noqa: ANN401  any JSON
        """DELETE `path`; raises aiohttp.ClientResponseError as `get` does."""
        return await self._request("DELETE", path)

    async def command(self, type_: str, **fields: Any) -> Any:  # noqa: ANN401  any JSON
        """Send a WebSocket command and return its result; raises CommandError when refused."""
        return await (await self._connected()).command(type_, **fields)

    async def subscribe(
        self, type_: str, **fields: Any
    ) -> AbstractAsyncContextManager[asyncio.Queue[Any]]:
        """Subscribe by a WebSocket command: `async with await ha.subscribe(…) as events`."""
        return (await self._connected()).subscribe(type_, **fields)

    async def call(
        self,
        domain: str,
        service: str,
        *,
        entity_id: str | None = None,
        target: Mapping[str, Any] | None = None,
        **data: Any,
    ) -> None:
        """Call an action as the frontend does, and wait until it is done.

        Raises CommandError with the translated message when it fails.
        """
        if entity_id is not None:
            target = {"entity_id": entity_id}
        await self.command(
            "call_service", domain=domain, service=service, service_data=data, target=target or {}
        )

    async def state(self, entity_id: str) -> dict[str, Any]:
        """Return the state object; raises aiohttp.ClientResponseError (404) if there is none."""
        state: dict[str, Any] = await self.get(f"/api/states/{entity_id}")
        return state

    async def wait_for_state(
        self, entity_id: str, state: str | Callable[[str], bool], within: float = 60
    ) -> dict[str, Any]:
        """Wait until the entity has this state, or one that `state` accepts.

        Returns the state object. Raises TimeoutError with the last state after
        `within` seconds.
        """
        accepts = state if callable(state) else state.__eq__
        last = "no state"
        async with await self.subscribe("subscribe_events", event_type="state_changed") as events:
            states: list[dict[str, Any]] = await self.command("get_states")
            for found in states:
                if found["entity_id"] == entity_id:
                    last = found["state"]
                    if accepts(last):
                        return found
            try:
                async with asyncio.timeout(within):
                    while True:
                        changed = (await events.get())["data"]
                        new: dict[str, Any] | None = changed["new_state"]
                        if changed["entity_id"] == entity_id and new is not None:
                            last = new["state"]
                            if accepts(last):
                                return new
            except TimeoutError:
                raise TimeoutError(
                    f"{entity_id} is {last!r} after {within} s, and not {state!r}"
                ) from None

    async def _until_running(self, process: asyncio.subprocess.Process) -> None:
        while True:
            if process.returncode is not None:
                raise RuntimeError(
                    f"hass ended with exit code {process.returncode}:\n{self._end_of_log()}"
                )
            try:
                answer = await self.get("/api/config")
                if answer["state"] == "RUNNING":
                    if answer["recovery_mode"]:
                        raise RuntimeError(f"hass is in recovery mode:\n{self._end_of_log()}")
                    return
            except aiohttp.ClientError:
                pass  # not listening yet, or the API not loaded yet
            await asyncio.sleep(LOOK_EVERY)

    async def _request(self, method: str, path: str, json: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401  any JSON
        if self._session is None:
            raise RuntimeError("hass is not running")
        async with self._session.request(method, path, json=json) as response:
            if not response.ok:
                raise aiohttp.ClientResponseError(
                    response.request_info,
                    response.history,
                    status=response.status,
                    message=await response.text(),
                )
            return await response.json()

    async def _connected(self) -> HassWebSocket:
        if self._session is None:
            raise RuntimeError("hass is not running")
        if self._socket is None or self._socket.closed:
            self._socket = await HassWebSocket.connect(self._session, self.url, self.token)
        return self._socket

    async def _hang_up(self) -> None:
        self._process = None
        if self._socket:
            await self._socket.close()
            self._socket = None
        if self._session:
            await self._session.close()
            self._session = None

    def _end_of_log(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])
