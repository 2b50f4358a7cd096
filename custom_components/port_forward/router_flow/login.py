"""Routers with an API of their own: an account, its rights, and a certificate to trust."""

from typing import Any

import voluptuous as vol
from homeassistant.config_entries import SOURCE_IGNORE, ConfigEntry, ConfigFlowResult
from homeassistant.const import CONF_URL
from homeassistant.data_entry_flow import AbortFlow
from homeassistant.helpers.selector import (
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
)
from yarl import URL

from ..const import CONF_SITE
from ..history import async_history
from ..routers.errors import CertificateError, RouterUnreachableError
from ..routers.registry import DRIVERS
from ..routers.router import Router
from ..routers.tls import FINGERPRINT, fingerprint_of
from .address import AddressError
from .base import FORM_ERRORS, FormError, RouterFlow
from .kinds import KINDS, SECRETS, Choice, Kind, async_check_account

_HTTPS = "https"


class LoginSteps(RouterFlow):
    """Asks for an account, and tries it before anything is made of it.

    Adding, reconfiguring and logging in again are the same form: it is named
    like the kind of router.
    """

    _kind: Kind
    _settings: dict[str, str]
    _fingerprint: str
    _choice: Choice
    _is_https_a_guess: bool

    async def async_step_openwrt(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask for the account of an OpenWrt router."""
        return await self._async_log_in("openwrt", user_input)

    async def async_step_mikrotik(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask for the account of a MikroTik router."""
        return await self._async_log_in("mikrotik", user_input)

    async def async_step_opnsense(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask for the key of an OPNsense firewall."""
        return await self._async_log_in("opnsense", user_input)

    async def async_step_unifi(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the key or the account of a UniFi gateway."""
        return await self._async_log_in("unifi", user_input)

    async def async_step_fritzbox(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask for the account of a FRITZ!Box."""
        return await self._async_log_in("fritzbox", user_input)

    async def _async_log_in(
        self, driver: str, user_input: dict[str, Any] | None = None, *, url: str | None = None
    ) -> ConfigFlowResult:
        """Ask for the account and try it; `url` is where the router announced itself."""
        self._kind = KINDS[driver]
        if user_input is None:
            entry = self._changed_entry
            self._settings = dict(entry.data) if entry else {CONF_URL: url} if url else {}
            return await self._async_show_login()
        self._settings = dict(user_input)
        try:
            self._settings = self._kind.settings(user_input)
        except AddressError as error:
            return await self._async_show_login(error)
        self._is_https_a_guess = "://" not in user_input[CONF_URL]
        if self._where.scheme != _HTTPS:
            return await self.async_step_unencrypted()
        if (entry := self._changed_entry) and entry.data[CONF_URL] == self._settings[CONF_URL]:
            # What was accepted stays accepted.
            self._settings |= {key: entry.data[key] for key in (FINGERPRINT,) if key in entry.data}
        return await self._async_try_login()

    async def async_step_unencrypted(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask whether the password may really be sent so that anybody could read it."""
        if user_input is not None:
            return await self._async_try_login()
        return self.async_show_form(
            step_id="unencrypted", description_placeholders={"host": self._host}
        )

    async def async_step_certificate(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask whether the certificate is the router's: nobody vouches for it."""
        return await self._async_ask_certificate("certificate", user_input)

    async def async_step_certificate_changed(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask the same of another certificate than the one that was accepted before."""
        return await self._async_ask_certificate("certificate_changed", user_input)

    async def async_step_site(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask which site of a controller is meant."""
        return await self._async_ask_choice("site", user_input)

    async def async_step_uplink(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask which connection of a site is meant."""
        return await self._async_ask_choice("uplink", user_input)

    async def _async_try_login(self) -> ConfigFlowResult:
        """Connect; what is wrong is shown in the form of the account."""
        try:
            try:
                return await self._async_connect()
            except CertificateError:
                port = self._where.port or 0
                self._fingerprint = await fingerprint_of(self._host, port)
        except RouterUnreachableError as error:
            if self._is_https_a_guess:
                return await self._async_show_login(
                    AddressError("no_https", field="base", host=self._host)
                )
            return await self._async_show_login(error)
        except FORM_ERRORS as error:
            return await self._async_show_login(error)
        known = self._changed_entry.data if self._changed_entry else {}
        if known.get(CONF_URL) == self._settings[CONF_URL]:
            return await self.async_step_certificate_changed()
        return await self.async_step_certificate()

    async def _async_connect(self) -> ConfigFlowResult:
        """Log in and go on; raises what a form can show."""
        router = self._make_router()
        while choice := await self._kind.choice(router, self._settings):
            field, names = choice
            if len(names) > 1:
                self._choice = choice
                if field == CONF_SITE:
                    return await self.async_step_site()
                return await self.async_step_uplink()
            self._settings[field] = next(iter(names), "")
            router = self._make_router()
        self._info = await router.connect()
        await async_check_account(router)
        if entry := self._changed_entry:
            # Also with the very same credentials, which are accepted now.
            async_history(self.hass, entry.entry_id).patience.end()
        if await self._async_is_another():
            self._url = self._settings[CONF_URL]
            self._go_on = self._async_finish_login
            return await self.async_step_same_router()
        return await self._async_finish_login()

    async def _async_finish_login(self) -> ConfigFlowResult:
        entry = self._changed_entry
        return await self._async_finish(
            self._settings, elsewhere=entry is not None and self._is_elsewhere(entry)
        )

    def _make_router(self) -> Router:
        return DRIVERS[self._kind.driver](self._session, self._settings, learned={})

    async def _async_is_another(self) -> bool:
        """Return whether what answered may be another router than that of the entry.

        As another piece of hardware is that has been given the same settings.
        Aborts unless it is at the same address, or the one that the flow is about.
        """
        unique_id = f"{self._kind.driver}-{self._info.unique_id}"
        known = await self.async_set_unique_id(unique_id, raise_on_progress=False)
        if (entry := self._changed_entry) is None:
            if known and known.source != SOURCE_IGNORE:
                raise AbortFlow("already_configured")
            return False
        if known not in (None, entry):
            raise AbortFlow("already_configured")
        if known is None and URL(entry.data[CONF_URL]).host != self._host:
            raise AbortFlow("another_router")
        return known is None and not self._may_have_another_id(entry)

    def _may_have_another_id(self, entry: ConfigEntry) -> bool:
        """Tell whether the router of `entry` may be known by another id from now on.

        That of a UniFi gateway holds its site and its WAN. That of others is
        their address as long as the account may not read anything better.
        """
        ids = (entry.unique_id or "", self.unique_id or "")
        return self._is_elsewhere(entry) or any(self._host in text for text in ids)

    def _is_elsewhere(self, entry: ConfigEntry) -> bool:
        """Tell whether ports will be opened on another connection of the router of `entry`."""
        return any(
            entry.data.get(place, "") != self._settings.get(place, "")
            for place in self._kind.places
        )

    async def _async_ask_certificate(
        self, step_id: str, user_input: dict[str, Any] | None
    ) -> ConfigFlowResult:
        if user_input is not None:
            self._settings[FINGERPRINT] = self._fingerprint
            return await self._async_try_login()
        pairs = (self._fingerprint[i : i + 2] for i in range(0, len(self._fingerprint), 2))
        return self.async_show_form(
            step_id=step_id,
            description_placeholders={
                "host": self._host,
                "fingerprint": ":".join(pairs).upper(),
            },
        )

    async def _async_ask_choice(
        self, step_id: str, user_input: dict[str, Any] | None
    ) -> ConfigFlowResult:
        if user_input is not None:
            self._settings |= user_input
            return await self._async_try_login()
        field, names = self._choice
        suggested = next(iter(names))
        if (entry := self._changed_entry) and entry.data.get(field) in names:
            # Another one closes everything, and must be meant.
            suggested = entry.data[field]
        options = [SelectOptionDict(value=value, label=name) for value, name in names.items()]
        selector = SelectSelector(
            SelectSelectorConfig(options=options, mode=SelectSelectorMode.LIST)
        )
        return self.async_show_form(
            step_id=step_id,
            data_schema=vol.Schema({vol.Required(field, default=suggested): selector}),
        )

    async def _async_show_login(self, error: FormError | None = None) -> ConfigFlowResult:
        errors, placeholders = await self._async_told(error) if error else ({}, {})
        # What the user has typed, and never a secret.
        suggested = {key: value for key, value in self._settings.items() if key not in SECRETS}
        return self.async_show_form(
            step_id=self._kind.driver,
            data_schema=self.add_suggested_values_to_schema(self._kind.schema, suggested),
            errors=errors,
            description_placeholders={
                "docs": self._kind.docs,
                "example": "https://192.168.1.1",
                "example_http": "http://192.168.1.1",
            }
            | placeholders,
        )

    @property
    def _where(self) -> URL:
        return URL(self._settings[CONF_URL])

    @property
    def _host(self) -> str:
        return self._where.host or ""
