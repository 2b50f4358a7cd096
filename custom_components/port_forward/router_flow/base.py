"""What the flows of all kinds of routers have in common."""

from collections.abc import Mapping
from typing import Any

import aiohttp
from homeassistant.config_entries import (
    SOURCE_REAUTH,
    SOURCE_RECONFIGURE,
    ConfigEntry,
    ConfigEntryState,
    ConfigFlow,
    ConfigFlowResult,
)
from homeassistant.core import callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.translation import async_get_translations

from ..const import DOMAIN
from ..devices.hosts import HostError
from ..entity import translated_errors
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
from ..runtime import async_get_runtime, async_session
from .address import AddressError

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
        # Only a loaded entry listens for its changes, and there may be none: the same
        # password may be accepted now.
        is_as_before = self.source == SOURCE_REAUTH and not is_changed
        if is_as_before or entry.state in (
            ConfigEntryState.SETUP_RETRY,
            ConfigEntryState.SETUP_ERROR,
        ):
            self.hass.config_entries.async_schedule_reload(entry.entry_id)

    async def _async_finish(
        self, data: Mapping[str, str], *, elsewhere: bool = False
    ) -> ConfigFlowResult:
        """Make the entry, or change the one that is being reconfigured.

        `elsewhere` tells of the latter that ports will be opened on another
        connection to the internet, which does not show what is open on the old
        one: that is closed first.
        """
        if (entry := self._changed_entry) is None:
            return self.async_create_entry(title=self._info.name, data=data)
        if elsewhere and (error := await self._async_close_all(entry)):
            return self._async_abort_unclosed(str(error))
        self._async_update(entry, data, self.unique_id)
        return self.async_update_and_abort(entry)

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
