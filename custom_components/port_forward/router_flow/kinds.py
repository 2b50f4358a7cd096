"""The kinds of routers that need a login, and what each of them is asked for."""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import voluptuous as vol
from homeassistant.const import CONF_API_KEY, CONF_PASSWORD, CONF_URL, CONF_USERNAME
from homeassistant.helpers.selector import TextSelector, TextSelectorConfig, TextSelectorType

from ..const import CONF_API_SECRET, CONF_DRIVER, CONF_INTERFACE, CONF_SITE, CONF_WAN
from ..routers.fritzbox import FritzBoxRouter
from ..routers.mikrotik import MikrotikRouter
from ..routers.openwrt import OpenWrtRouter
from ..routers.opnsense import OPNsenseRouter
from ..routers.router import Router
from ..routers.unifi import UnifiRouter
from .address import Address, AddressError

SECRETS = (CONF_PASSWORD, CONF_API_KEY, CONF_API_SECRET)

_DOCS = "https://github.com/port-forward/port-forward/blob/main/docs/routers/{}.md"
_TEXT = TextSelector()
_SECRET = TextSelector(TextSelectorConfig(type=TextSelectorType.PASSWORD))
_URL = {vol.Required(CONF_URL): _TEXT}
_PASSWORD = {vol.Required(CONF_USERNAME): _TEXT, vol.Required(CONF_PASSWORD): _SECRET}

_CHECKED = (FritzBoxRouter, MikrotikRouter, OPNsenseRouter, UnifiRouter)

type Choice = tuple[str, Mapping[str, str]]
"""A setting, and what it may be with what a user reads of it."""


async def _no_choice(_router: Router, _settings: Mapping[str, str]) -> Choice | None:
    return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One kind of router.

    `protocol` is what a user knows it by, `port` the one for HTTPS. `places`
    are the settings that choose where ports are opened: with another value,
    what is open would be out of sight. `choice` returns what is still to be
    chosen.
    """

    driver: str
    schema: vol.Schema
    protocol: str = "API"
    port: int | None = None
    places: tuple[str, ...] = ()
    choice: Callable[[Router, Mapping[str, str]], Awaitable[Choice | None]] = _no_choice

    @property
    def docs(self) -> str:
        """Where it is explained how to make an account."""
        return _DOCS.format(self.driver)

    def settings(self, user_input: Mapping[str, Any]) -> dict[str, str]:
        """Return the data of an entry; raises AddressError for what is no address."""
        text = user_input[CONF_URL]
        # Without a path, and without a password that would be shown with it.
        try:
            url = Address.parse(text, scheme="https").url.origin()
        except AddressError as error:
            raise AddressError("invalid_address") from error
        if "://" not in text and url.explicit_port is None and self.port:
            url = url.with_port(self.port)
        others = {key: value for key, value in user_input.items() if key != CONF_URL and value}
        if CONF_API_KEY not in others and not {CONF_USERNAME, CONF_PASSWORD} <= others.keys():
            raise AddressError("no_credentials", field="base")
        return {CONF_DRIVER: self.driver, CONF_URL: str(url), **others}


async def async_check_account(router: Router) -> None:
    """Make sure that the account may do what is needed, and is one.

    Raises RouterError and AddressError.
    """
    if isinstance(router, OpenWrtRouter):
        # Its reply to the login has told the rights already.
        if await router.lets_in(secrets.token_hex(16)):
            raise AddressError("no_password", field="base")
    else:
        assert isinstance(router, _CHECKED)  # noqa: S101  for the types
        await router.check_rights()


async def _choose_unifi(router: Router, settings: Mapping[str, str]) -> Choice | None:
    assert isinstance(router, UnifiRouter)  # noqa: S101  for the types
    if CONF_SITE not in settings:
        return CONF_SITE, {site.name: site.title for site in await router.sites()}
    if CONF_WAN not in settings:
        return CONF_WAN, {wan.interface: wan.title for wan in await router.wans()}
    return None


_KINDS = (
    Kind(driver="openwrt", schema=vol.Schema(_URL | _PASSWORD)),
    Kind(
        driver="mikrotik",
        schema=vol.Schema(_URL | _PASSWORD | {vol.Optional(CONF_WAN): _TEXT}),
        places=(CONF_WAN,),
    ),
    Kind(
        driver="opnsense",
        schema=vol.Schema(
            _URL
            | {
                vol.Required(CONF_API_KEY): _SECRET,
                vol.Required(CONF_API_SECRET): _SECRET,
                vol.Optional(CONF_INTERFACE): _TEXT,
            }
        ),
        places=(CONF_INTERFACE,),
    ),
    Kind(
        driver="unifi",
        schema=vol.Schema(
            _URL
            | {
                vol.Optional(CONF_API_KEY): _SECRET,
                vol.Optional(CONF_USERNAME): _TEXT,
                vol.Optional(CONF_PASSWORD): _SECRET,
            }
        ),
        places=(CONF_SITE, CONF_WAN),
        choice=_choose_unifi,
    ),
    Kind(
        driver="fritzbox",
        schema=vol.Schema(_URL | _PASSWORD),
        protocol="TR-064",
        port=49443,
    ),
)

KINDS: Mapping[str, Kind] = {kind.driver: kind for kind in _KINDS}
