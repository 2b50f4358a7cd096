"""A UniFi controller with its gateway in this process: its life, and what tests do to it."""

import asyncio
import secrets
import ssl
from collections import Counter
from collections.abc import Collection, Sequence
from http import HTTPStatus
from typing import override

from aiohttp import web

from lab.http_faults import Fault, Injected
from lab.running import Running

from .accounts import Account, ApiKey, Door
from .api import Api, Site
from .documents import Document
from .gateway import Gateway
from .habits import Habit

PROVISIONING = 0.02  # seconds; real ones take several


class UnifiController(Running):
    """A controller on a gateway (UniFi OS), or an old one on a machine of its own.

    Its forwards become effective a moment after they were changed, as on real
    ones: wait for `provisioned`. `habits`, `accounts` and `keys` may be
    changed while it runs; `requests` counts what came, as
    "PUT rest/portforward".
    """

    def __init__(  # noqa: PLR0913  each is a property of the controller
        self,
        *,
        is_os: bool = True,
        accounts: Sequence[Account] = (Account(),),
        keys: Sequence[ApiKey] = (ApiKey(),),
        habits: Collection[Habit] = (),
        version: str = "9.5.21",
        wans: int = 1,
        sites: Sequence[str] = ("default",),
        external_address: str = "203.0.113.7",
        lan_host: str = "127.0.0.1",
        wan_host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Make a controller that is switched off, with this number of WANs."""
        self.is_os = is_os
        self.habits = set(habits)
        self.version = version
        self.external_address = external_address
        self.is_online = True
        self.lan_host = lan_host
        self.port = port
        self.sites = [
            Site(id=secrets.token_hex(12), name=name, description=name.capitalize())
            for name in sites
        ]
        self._wans = wans
        self._tls = tls
        self._runner: web.AppRunner | None = None
        self._provisioning: asyncio.Task[None] | None = None
        self._again = False
        self.may_provision = asyncio.Event()
        """Cleared by a test that wants to look before the gateway knows."""
        self.may_provision.set()
        self._settled = asyncio.Event()
        self._settled.set()
        self._skipped = 0.0
        self._booted = 0.0
        self.gateway = Gateway(wan_host)
        wrong = HTTPStatus.UNAUTHORIZED if Habit.LOGIN_401 in self.habits else HTTPStatus.FORBIDDEN
        self.door = Door(list(accounts), list(keys), is_os=is_os, wrong=wrong)
        self.api = Api(self, self.door)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"{'https' if self._tls else 'http'}://{self.lan_host}:{self.port}"

    @property
    def requests(self) -> Counter[str]:
        """How many requests came, as `PUT rest/portforward`."""
        return self.api.requests

    @property
    def forwards(self) -> list[Document]:
        """Copies of the forwards of the first site."""
        return [dict(document) for document in self.sites[0].forwards]

    @override
    async def start(self) -> None:
        """Switch on; again on the port that it had. Raises OSError when that is taken."""
        self._booted = self._now()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.api.handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.lan_host, self.port, ssl_context=self._tls)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.changed()
        await self.provisioned()

    @override
    async def stop(self) -> None:
        """Switch off; the forwards are kept, but nothing relays."""
        self.api.faults.stop()
        self.may_provision.set()
        if self._runner is not None:
            await self._runner.cleanup()
        await self.provisioned()
        await self.gateway.close()

    async def provisioned(self) -> None:
        """Wait until the gateway has what the controller holds."""
        await self._settled.wait()

    def changed(self) -> None:
        """Provision the gateway, in a moment."""
        self._settled.clear()
        self._again = True
        if self._provisioning is None:
            self._provisioning = asyncio.get_running_loop().create_task(self._provision())

    async def advance(self, seconds: float) -> None:
        """Let time pass at once."""
        self._skipped += seconds

    async def reboot(self) -> None:
        """Count the uptime and the connections from now; forwards are kept, sessions are not."""
        self._booted = self._now()
        self.gateway.packets.clear()
        self.door.expire_sessions()

    async def add(self, **values: object) -> str:
        """Add a forward as somebody else would, with fields that we know nothing of."""
        document: Document = {
            "destination_ip": "any",
            "enabled": True,
            "log": False,
            "pfwd_interface": "wan",
            "proto": "tcp",
            "src": "any",
            "src_limiting_enabled": False,
            "future_field": {"kept": [1, 2]},
            **values,
        }
        added = self.api.create(self.sites[0], document)
        self.changed()
        await self.provisioned()
        return str(added["_id"])

    async def change(self, forward_id: str, **values: object) -> None:
        """Change a forward as somebody else would."""
        for document in self.sites[0].forwards:
            if document["_id"] == forward_id:
                document.update(values)
        self.changed()
        await self.provisioned()

    async def remove(self, forward_id: str) -> None:
        """Remove a forward as somebody else would."""
        forwards = self.sites[0].forwards
        forwards[:] = [document for document in forwards if document["_id"] != forward_id]
        self.changed()
        await self.provisioned()

    def fault(self, fault: Fault, request: str | None = None, times: int | None = 1) -> None:
        """Let the next `times` requests (None: until cleared) go wrong.

        `request` names them as `requests` does, or is "login"; None is every request.
        """
        self.api.faults.add(Injected(fault=fault, request=request, times=times))

    def shown(self, site: Site, path: str) -> Sequence[Document] | None:
        """Return a list that can only be read, None where there is none."""
        uptime = int(self._now() - self._booted)
        match path:
            case "stat/sysinfo":
                return [{"name": "Dream Machine", "version": self.version, "uptime": uptime}]
            case "stat/health":
                return [self._wan_health(uptime), {"subsystem": "lan", "status": "ok"}]
            case "stat/portforward":
                return [
                    {
                        "_id": document.get("_id"),
                        "rx_bytes": 60 * self.gateway.packets[str(document.get("_id"))],
                        "rx_packets": self.gateway.packets[str(document.get("_id"))],
                    }
                    for document in site.forwards
                ]
            case "rest/networkconf":
                return [self._wan(number) for number in range(1, self._wans + 1)] + [
                    {"_id": secrets.token_hex(12), "name": "Default", "purpose": "corporate"}
                ]
        return None

    def _wan_health(self, uptime: int) -> Document:
        if not self.is_online:
            return {"subsystem": "wan", "status": "error"}
        return {
            "subsystem": "wan",
            "status": "ok",
            "wan_ip": self.external_address,
            "gw_mac": "74:ac:b9:00:00:01",
            "gw_name": "Dream Machine",
            "gw_system-stats": {"uptime": str(uptime)},
        }

    def _wan(self, number: int) -> Document:
        return {
            "_id": secrets.token_hex(12),
            "name": f"Internet {number}",
            "purpose": "wan",
            "wan_networkgroup": "WAN" if number == 1 else f"WAN{number}",
        }

    async def _provision(self) -> None:
        while self._again:
            await asyncio.sleep(PROVISIONING)
            await self.may_provision.wait()
            self._again = False
            await self.gateway.provision(self.sites[0].forwards)
        self._provisioning = None
        self._settled.set()

    def _now(self) -> float:
        return asyncio.get_running_loop().time() + self._skipped
