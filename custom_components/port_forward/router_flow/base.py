"""What the flows of all kinds of routers have in common."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
from homeassistant.config_entries import (
    SOURCE_REAUTH,
    SOURCE_RECONFIGURE,
    ConfigEntry,
    ConfigFlow,
    ConfigFlowResult,
)
from homeassistant.const import CONF_URL
from homeassistant.core import callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.translation import async_get_translations
from yarl import URL

from ..const import CONF_DRIVER, DOMAIN
from ..devices.hosts import HostError
from ..entity import translated_errors
from ..foreign.watch import async_forget_foreign
from ..identity import UPNP, async_entries_of_gateway, async_try_again
from ..openings import Reason
from ..routers.errors import (
    AuthenticationFailedError,
    MissingRightsError,
    ProtocolError,
    Refusal,
    RouterError,
    RouterUnreachableError,
    UnsupportedError,
)
from ..routers.model import RouterInfo
from ..routers.shown import clean
from ..runtime import async_get_runtime, async_session
from .address import PCP, AddressError

type FormError = AddressError | HostError | RouterError
"""What a form shows, and lets the user try again."""

FORM_ERRORS = (AddressError, HostError, RouterError)

CONNECTING = (
    AuthenticationFailedError,
    MissingRightsError,
    ProtocolError,
    RouterUnreachableError,
    UnsupportedError,
)
NOT_TICKED = f"not_permitted_{Refusal.FRITZBOX_NOT_TICKED}"
"""Those of a router that have a text of their own for forms."""


class RouterFlow(ConfigFlow):
    """Makes an entry of a router that has answered, or changes the one that there is."""

    _info: RouterInfo
    _url: str
    _new: Mapping[str, str]
    _alike: list[ConfigEntry]
    _go_on: Callable[[], Awaitable[ConfigFlowResult]]

    @property
    def _session(self) -> aiohttp.ClientSession:
        return async_session(self.hass)

    async def _async_told(self, error: FormError) -> tuple[dict[str, str], dict[str, str]]:
        """Return the errors of a form and their placeholders."""
        if isinstance(error, AddressError):
            return {error.field: error.key}, error.placeholders
        if isinstance(error, HostError):
            return {"base": error.key}, error.placeholders
        key = error.translation_key
        if isinstance(error, CONNECTING) or key == NOT_TICKED:
            return {"base": key}, error.placeholders
        # The text that an action would show. No router may be set up yet.
        texts = await async_get_translations(
            self.hass, self.hass.config.language, "exceptions", {DOMAIN}
        )
        text = texts[f"component.{DOMAIN}.exceptions.{key}.message"]
        return {"base": "refused"}, {"error": text.format(**error.placeholders)}

    @callback
    def _async_update(
        self, entry: ConfigEntry, data: Mapping[str, Any], unique_id: str | None = None
    ) -> None:
        """Change an entry and what runs of it; `unique_id` None is the one that it has."""
        is_changed = self.hass.config_entries.async_update_entry(
            entry, data=data, unique_id=unique_id or entry.unique_id
        )
        if self.source == SOURCE_REAUTH and not is_changed:
            # Nobody hears of no change, but the same password may be accepted now.
            self.hass.config_entries.async_schedule_reload(entry.entry_id)
        else:
            async_try_again(self.hass, entry)

    async def _async_finish(
        self, data: Mapping[str, str], *, elsewhere: bool = False
    ) -> ConfigFlowResult:
        """Make the entry, or change the one that is being reconfigured.

        `elsewhere` tells of the latter that ports will be opened on another
        connection to the internet, which does not show what is open on the old
        one: that is closed first.
        """
        if (entry := self._changed_entry) is None:
            self._new = data
            self._alike = await self._async_alike(data)
            return await (self.async_step_second_entry() if self._alike else self._async_create())
        if elsewhere:
            if error := await self._async_close_all(entry):
                return self._async_abort_unclosed(str(error))
            await async_forget_foreign(self.hass, entry)
        self._async_update(entry, data, self.unique_id)
        return self.async_update_and_abort(entry)

    async def async_step_second_entry(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask whether a router that is set up already should have another entry."""
        if user_input is not None:
            return await self._async_create()
        return self.async_show_form(
            step_id="second_entry",
            description_placeholders={
                "host": str(URL(self._new[CONF_URL]).host),
                "known": ", ".join(clean(entry.title) for entry in self._alike),
            },
        )

    async def async_step_same_router(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask whether what answers is the router of the entry, or has taken its place."""
        if user_input is not None:
            return await self._go_on()
        entry = self._changed_entry
        assert entry  # noqa: S101  a new one has no router that it could be
        return self.async_show_form(
            step_id="same_router",
            description_placeholders={
                "router": clean(entry.title),
                "name": clean(self._info.name),
                "host": str(URL(self._url).host),
            },
        )

    async def _async_create(self) -> ConfigFlowResult:
        return self.async_create_entry(title=self._info.name, data=self._new)

    async def _async_alike(self, data: Mapping[str, str]) -> list[ConfigEntry]:
        """Return the entries of the gateway that the new one is for.

        Those of the same kind with a login are of other sites or connections.
        """
        return [
            entry
            for entry in await async_entries_of_gateway(self.hass, data[CONF_URL])
            if data[CONF_DRIVER] in (UPNP, PCP) or entry.data[CONF_DRIVER] != data[CONF_DRIVER]
        ]

    @property
    def _changed_entry(self) -> ConfigEntry | None:
        """The entry that is reconfigured or logged in again, None for a new one."""
        if self.source == SOURCE_RECONFIGURE:
            return self._get_reconfigure_entry()
        return self._get_reauth_entry() if self.source == SOURCE_REAUTH else None

    async def _async_close_all(self, entry: ConfigEntry) -> HomeAssistantError | None:
        """Close what is open on the old connection; return why that failed, if it did."""
        try:
            with translated_errors():
                runtime = await async_get_runtime(self.hass, entry)
                await runtime.async_close_all(Reason.WAN_CHANGED)
        except HomeAssistantError as error:
            return error
        return None

    @callback
    def _async_abort_unclosed(self, error: str) -> ConfigFlowResult:
        return self.async_abort(reason="not_closed", description_placeholders={"error": error})
