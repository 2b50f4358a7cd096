"""The simulated routers that need a login, as the tests of their forms speak of all of them."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import override

from lab.certificate import Certificate, self_signed
from lab.fritzbox import USER as FRITZ_USER
from lab.fritzbox import FritzBox
from lab.mikrotik import ALL, MikrotikRouter, User
from lab.openwrt import DEDICATED, PASSWORD, READ_ONLY, USERNAME, OpenWrt
from lab.opnsense import Account as OPNsenseAccount
from lab.opnsense import OPNsense, Privilege
from lab.unifi import ApiKey, UnifiController

type Simulated = FritzBox | MikrotikRouter | OPNsense | OpenWrt | UnifiController


class Simulator(ABC):
    """One of them with an account that may do what is needed."""

    driver: str
    name: str
    secret: str
    """The field that a wrong secret is typed into."""

    @property
    @abstractmethod
    def url(self) -> str:
        """Where it answers."""

    @property
    @abstractmethod
    def login(self) -> dict[str, str]:
        """What is typed in, without the address."""

    @property
    def form(self) -> dict[str, str]:
        """What is typed in."""
        return {"url": self.url, **self.login}

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """That of the certificate it shows now, in lower-case hex."""

    @abstractmethod
    def requests(self) -> int:
        """Return how many requests came, with or without a login."""

    @abstractmethod
    def set_secret(self, secret: str) -> None:
        """Let another password or key be the right one, at once."""

    @abstractmethod
    def grant(self, *, enough: bool) -> None:
        """Give the account what it needs, or less."""

    @abstractmethod
    async def renew_certificate(self) -> None:
        """Show another certificate from now on."""


class OpenWrtSimulator(Simulator):
    driver, name, secret = "openwrt", "OpenWrt", "password"

    def __init__(self, router: OpenWrt, certificate: Certificate | None) -> None:
        self.router = router
        self.certificate = certificate
        self.password = PASSWORD

    @property
    @override
    def url(self) -> str:
        return self.router.url

    @property
    @override
    def login(self) -> dict[str, str]:
        return {"username": USERNAME, "password": self.password}

    @property
    @override
    def fingerprint(self) -> str:
        assert self.certificate
        return self.certificate.fingerprint

    @override
    def requests(self) -> int:
        return self.router.calls.total()

    @override
    def set_secret(self, secret: str) -> None:
        self.router.set_password(secret)
        self.router.sessions.expire_all()
        self.password = secret

    @override
    def grant(self, *, enough: bool) -> None:
        self.router.grant(DEDICATED if enough else READ_ONLY)

    @override
    async def renew_certificate(self) -> None:
        await self.router.stop()
        self.certificate = self.router._certificate = self_signed("OpenWrt")
        await self.router.start()


class MikrotikSimulator(Simulator):
    driver, name, secret = "mikrotik", "MikroTik", "password"

    def __init__(self, router: MikrotikRouter, certificate: Certificate | None) -> None:
        self.router = router
        self.certificate = certificate

    @property
    @override
    def url(self) -> str:
        return self.router.url

    @property
    def user(self) -> User:
        return self.router.users[0]

    @property
    @override
    def login(self) -> dict[str, str]:
        return {"username": self.user.name, "password": self.user.password}

    @property
    @override
    def fingerprint(self) -> str:
        assert self.certificate
        return self.certificate.fingerprint

    @override
    def requests(self) -> int:
        return self.router.requests.total()

    @override
    def set_secret(self, secret: str) -> None:
        self.user.password = secret

    @override
    def grant(self, *, enough: bool) -> None:
        self.user.policies = ALL if enough else ALL - {"write"}

    @override
    async def renew_certificate(self) -> None:
        await self.router.stop()
        self.certificate = self_signed("MikroTik")
        self.router._tls = self.certificate.context
        await self.router.start()


class OPNsenseSimulator(Simulator):
    driver, name, secret = "opnsense", "OPNsense", "api_secret"

    def __init__(self, firewall: OPNsense) -> None:
        self.firewall = firewall

    @property
    @override
    def url(self) -> str:
        return self.firewall.url

    @property
    def account(self) -> OPNsenseAccount:
        return self.firewall.accounts[0]

    @property
    @override
    def login(self) -> dict[str, str]:
        return {"api_key": self.account.key, "api_secret": self.account.secret}

    @property
    @override
    def fingerprint(self) -> str:
        assert self.firewall.certificate
        return self.firewall.certificate.fingerprint

    @override
    def requests(self) -> int:
        return self.firewall.requests.total()

    @override
    def set_secret(self, secret: str) -> None:
        self.account.secret = secret

    @override
    def grant(self, *, enough: bool) -> None:
        self.account.privileges = set(Privilege) if enough else {Privilege.SHOW_STATES}

    @override
    async def renew_certificate(self) -> None:
        await self.firewall.change_certificate()


class UnifiSimulator(Simulator):
    driver, name, secret = "unifi", "Dream Machine", "api_key"

    def __init__(self, controller: UnifiController, certificate: Certificate | None) -> None:
        self.controller = controller
        self.certificate = certificate

    @property
    @override
    def url(self) -> str:
        return self.controller.url

    @property
    def key(self) -> ApiKey:
        return self.controller.door.keys[0]

    @property
    @override
    def login(self) -> dict[str, str]:
        return {"api_key": self.key.value}

    @property
    @override
    def fingerprint(self) -> str:
        assert self.certificate
        return self.certificate.fingerprint

    @override
    def requests(self) -> int:
        return self.controller.requests.total()

    @override
    def set_secret(self, secret: str) -> None:
        self.key.value = secret

    @override
    def grant(self, *, enough: bool) -> None:
        self.key.role = "admin" if enough else "readonly"

    @override
    async def renew_certificate(self) -> None:
        await self.controller.stop()
        self.certificate = self_signed("UniFi")
        self.controller._tls = self.certificate.context
        await self.controller.start()


class FritzBoxSimulator(Simulator):
    driver, name, secret = "fritzbox", "FRITZ!Box 7590", "password"

    def __init__(self, box: FritzBox) -> None:
        self.box = box

    @property
    @override
    def url(self) -> str:
        return self.box.url

    @property
    @override
    def login(self) -> dict[str, str]:
        return {"username": FRITZ_USER, "password": self.box.passwords[FRITZ_USER]}

    @property
    @override
    def fingerprint(self) -> str:
        assert self.box.certificate
        return self.box.certificate.fingerprint

    @override
    def requests(self) -> int:
        return self.box.requests.total()

    @override
    def set_secret(self, secret: str) -> None:
        self.box.passwords[FRITZ_USER] = secret
        self.box.digest.forget()

    @override
    def grant(self, *, enough: bool) -> None:
        self.box.settings_right = enough

    @override
    async def renew_certificate(self) -> None:
        await self.box.change_certificate()


@asynccontextmanager
async def openwrt(*, tls: bool = True) -> AsyncGenerator[Simulator]:
    certificate = self_signed("OpenWrt") if tls else None
    async with OpenWrt(certificate=certificate) as router:
        yield OpenWrtSimulator(router, certificate)


@asynccontextmanager
async def mikrotik(*, tls: bool = True) -> AsyncGenerator[Simulator]:
    certificate = self_signed("MikroTik") if tls else None
    context = certificate.context if certificate else None
    async with MikrotikRouter(users=[User()], tls=context) as router:
        yield MikrotikSimulator(router, certificate)


@asynccontextmanager
async def opnsense(*, tls: bool = True) -> AsyncGenerator[Simulator]:
    async with OPNsense(tls=tls) as firewall:
        yield OPNsenseSimulator(firewall)


@asynccontextmanager
async def unifi(*, tls: bool = True) -> AsyncGenerator[Simulator]:
    certificate = self_signed("UniFi") if tls else None
    context = certificate.context if certificate else None
    async with UnifiController(keys=[ApiKey()], tls=context) as controller:
        yield UnifiSimulator(controller, certificate)


@asynccontextmanager
async def fritzbox(*, tls: bool = True) -> AsyncGenerator[Simulator]:
    async with FritzBox(tls=tls) as box:
        yield FritzBoxSimulator(box)


SIMULATORS: dict[str, Callable[..., AbstractAsyncContextManager[Simulator]]] = {
    "openwrt": openwrt,
    "mikrotik": mikrotik,
    "opnsense": opnsense,
    "unifi": unifi,
    "fritzbox": fritzbox,
}
