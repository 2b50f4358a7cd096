"""The router's life: start, stop, and what tests do to it."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import override

from aiohttp import web

from lab.certificate import Certificate
from lab.outbound import Outbound
from lab.running import Running

from .accounts import DEDICATED, LUCI, Account, Rights
from .clock import Clock
from .defaults import firewall_package, system_package
from .faults import LOGIN_PAGE, Fault, Injected
from .firewall import Firewall
from .fw4 import Rule
from .sessions import Session, Sessions
from .status import StatusError
from .system import Device, SystemMethods
from .ubus import StruckError, Ubus
from .uci import Section
from .uci_methods import UciMethods

USERNAME = "homeassistant"
PASSWORD = "correct horse battery staple"  # noqa: S105  of a simulated router
ROOT_PASSWORD = "luci"  # noqa: S105  same

_NOT_FOUND = "<h1>Not Found</h1>The requested URL {path} was not found on this server."
_HUGE_CHUNK = b" " * 65536


class OpenWrt(Running):
    """An OpenWrt router in this process, whose NAT is real.

    `rights` are those of the account `homeassistant`; `root` has what LuCI
    grants. `calls` counts what came, by object and method ("uci apply").
    `outbound` is the way of the home to the internet.
    """

    def __init__(  # noqa: PLR0913  each is a property of the router
        self,
        *,
        rights: Rights = DEDICATED,
        device: Device | None = None,
        clock: Clock | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        wan_host: str = "127.0.0.1",
        certificate: Certificate | None = None,
        reload_delay: float = 0.0,
        timezone: str = "UTC",
        has_ubus: bool = True,
    ) -> None:
        """Make a router that is switched off.

        `reload_delay` is how many seconds after a change the firewall has it,
        `timezone` what its configuration says (the clock has the real one),
        `has_ubus` False one without uhttpd-mod-ubus.
        """
        self.device = device or Device()
        self.clock = clock or Clock()
        self.host = host
        self.port = port
        self._certificate = certificate
        self._has_ubus = has_ubus
        self._packages = {"firewall": firewall_package(), "system": system_package(timezone)}
        self.sessions = Sessions(
            [
                Account(username=USERNAME, password=PASSWORD, rights=rights),
                Account(username="root", password=ROOT_PASSWORD, rights=LUCI),
            ],
            self.clock,
        )
        self.firewall = Firewall(
            lambda: self._packages["firewall"], self.clock, host=wan_host, delay=reload_delay
        )
        self.uci = UciMethods(self._packages, self.sessions, self.clock, self._config_changed)
        self.outbound = Outbound()
        self._system = SystemMethods(
            self.device,
            self.sessions,
            self.uci,
            self.firewall,
            outbound=self.outbound,
            clock=self.clock,
        )
        self.ubus = Ubus(self.sessions, {"uci": self.uci.methods, **self._system.objects})
        self._runner: web.AppRunner | None = None
        self._stopping = asyncio.Event()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"{'https' if self._certificate else 'http'}://{self.host}:{self.port}"

    @property
    def calls(self) -> Counter[str]:
        """How many calls came, by object and method."""
        return self.ubus.calls

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules that are in force."""
        return self.firewall.rules

    @property
    def committed(self) -> list[Section]:
        """The redirects and the rules of /etc/config/firewall that are not OpenWrt's own."""
        return [
            section
            for section in self._packages["firewall"].sections
            if section.type == "redirect"
            or (section.type == "rule" and not section.text("name").startswith("Allow-"))
        ]

    def section(self, name: str) -> Section | None:
        """Return a section of /etc/config/firewall."""
        return self._packages["firewall"].find(name)

    @override
    async def start(self) -> None:
        """Switch on. Raises OSError when the port cannot be bound."""
        self._stopping.clear()
        self.device.booted = self.device.connected = self.clock.monotonic()
        application = web.Application(client_max_size=1024 * 1024)
        application.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)
        await self._runner.setup()
        context = self._certificate.context if self._certificate else None
        site = web.TCPSite(self._runner, self.host, self.port, ssl_context=context)
        await site.start()
        _, self.port, *_ = self._runner.addresses[0]
        await self.firewall.reload()

    @override
    async def stop(self) -> None:
        """Switch off; the configuration stays."""
        self._stopping.set()
        if self._runner:
            await self._runner.cleanup()
            self._runner = None
        await self.uci.close()
        await self.firewall.close()
        await self.outbound.close()

    async def reboot(self) -> None:
        """Switch off and on: sessions and the uptime begin anew, the rules are as committed."""
        await self.stop()
        self.sessions.expire_all()
        await self.uci.roll_back()
        await self.start()

    async def pass_time(self, time: timedelta) -> None:
        """Let time pass at once: sessions expire, what nobody confirmed is rolled back."""
        self.clock.pass_time(time)
        await self.uci.tick()

    def fault(  # noqa: PLR0913  the parameters of the faults
        self,
        fault: Fault,
        call: str | None = None,
        *,
        times: int | None = 1,
        skip: int = 0,
        delay: float = 5.0,
        status: int = 9,
    ) -> None:
        """Let the next `times` calls (None: until cleared) go wrong, after `skip` that do not.

        `call` names them as `calls` does; None is every call. `delay` in
        seconds is for SLOW, `status` for FAIL.
        """
        self.ubus.faults.add(
            Injected(fault=fault, call=call, times=times, skip=skip, delay=delay, status=status)
        )

    def clear_faults(self) -> None:
        """Let nothing more go wrong."""
        self.ubus.faults.clear()

    def grant(self, rights: Rights, *, username: str = USERNAME) -> None:
        """Change what an account may do from its next login on, and end its sessions."""
        self.sessions.account(username).rights = rights
        self.sessions.expire_all()

    def set_password(self, password: str, *, username: str = USERNAME) -> None:
        """Change a password; sessions go on."""
        self.sessions.account(username).password = password

    def uninstall(self, name: str, *methods: str) -> None:
        """Take an object away, or some of its methods, as on a router that is too old."""
        for method in methods:
            del self.ubus.objects[name][method]
        if not methods:
            del self.ubus.objects[name]

    def luci(self, username: str = "root") -> LuciUser:
        """Let somebody log in with a browser."""
        account = self.sessions.account(username)
        return LuciUser(self.uci, self.sessions.login(account, 3600))

    async def luci_edit(self, **sections: Mapping[str, object] | None) -> None:
        """Let somebody write or delete (None) redirects by name, and press Save & Apply."""
        user = self.luci()
        for name, values in sections.items():
            if values is None:
                await user.call("delete", section=name)
            else:
                await user.call("add", type="redirect", name=name, values=dict(values))
        await user.apply()

    async def _config_changed(self, config: str) -> None:
        if config == "firewall":
            await self.firewall.config_changed()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if request.path != "/ubus" or not self._has_ubus:
            return web.Response(
                status=404, text=_NOT_FOUND.format(path=request.path), content_type="text/html"
            )
        await self.uci.tick()
        try:
            reply = await self.ubus.answer(await request.read())
        except StruckError as struck:
            return await self._strike(request, struck)
        return _json(json.dumps(reply, separators=(",", ":")))

    async def _strike(self, request: web.Request, struck: StruckError) -> web.StreamResponse:
        """Reply as the fault has it."""
        whole = json.dumps(struck.reply, separators=(",", ":"))
        response: web.StreamResponse = web.Response(status=500)
        match struck.injected.fault:
            case Fault.HTML:
                response = web.Response(text=LOGIN_PAGE, content_type="text/html")
            case Fault.GARBAGE:
                response = web.Response(body=b"\x00\x7f\xfe<<<>]]> \xc3\x28")
            case Fault.HUGE:
                response = await _endless(request)
            case Fault.TRUNCATED:
                response = _json(whole[: len(whole) // 2])
            case Fault.SLOW:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), struck.injected.delay)
                response = _json(whole)
            case Fault.DROP_BEFORE | Fault.DROP_AFTER if request.transport:
                request.transport.abort()
        return response


class LuciUser:
    """Somebody in front of LuCI, with changes that nobody else sees until they apply them."""

    def __init__(self, uci: UciMethods, session: Session) -> None:
        """Take the session of the browser."""
        self._uci = uci
        self._session = session

    async def call(self, method: str, **args: object) -> object:
        """Call a method of `uci` for the firewall. Raises StatusError."""
        return await self._uci.methods[method](self._session, {"config": "firewall", **args})

    async def apply(self, *, confirm: bool = True) -> None:
        """Press Save & Apply; without `confirm` the browser is closed before it is through."""
        await self._uci.apply(self._session, {"rollback": True, "timeout": 90})
        if confirm:
            await self._uci.confirm(self._session, {})

    async def is_refused(self) -> bool:
        """Press Save & Apply, and tell whether it is refused, as while another one is pending."""
        try:
            await self.apply()
        except StatusError:
            return True
        return False


def _json(text: str) -> web.Response:
    response = web.Response(text=text, content_type="application/json")
    response.enable_chunked_encoding()
    return response


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(_HUGE_CHUNK)
