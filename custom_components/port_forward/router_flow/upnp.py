"""UPnP: the router names itself and its connections, and needs no login."""

from typing import Any

import voluptuous as vol
from homeassistant.config_entries import (
    SOURCE_IGNORE,
    SOURCE_RECONFIGURE,
    SOURCE_SSDP,
    ConfigEntry,
    ConfigFlowResult,
)
from homeassistant.const import CONF_URL
from homeassistant.data_entry_flow import AbortFlow
from homeassistant.helpers.selector import (
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
)

from ..const import CONF_DRIVER, CONF_WAN
from ..devices.hosts import async_router_address
from ..identity import (
    Verdict,
    async_entries_at,
    async_forget_ignored,
    async_has_moved,
    async_is_renamed,
    async_learned,
    async_take_up_renamed,
)
from ..routers.errors import UnsupportedError
from ..routers.shown import clean
from ..routers.upnp import Description, WanSurvey, counterpart, describe
from ..routers.upnp import survey as survey_wans
from .base import RouterFlow


class UpnpSteps(RouterFlow):
    """Examines what is described at a URL, and asks which connection is meant."""

    _description: Description
    _surveys: tuple[WanSurvey, ...]
    _known: ConfigEntry

    async def _async_take_upnp(self, url: str) -> ConfigFlowResult:
        """Go on with the router that is described at `url`.

        Aborts when it is not a router that this flow may go on with. Raises
        RouterError and HostError.
        """
        await self._async_examine(url)
        return await self._async_identify(self._info.unique_id)

    async def _async_examine(self, url: str) -> None:
        """Speak to the router before anything is made of it.

        Aborts when another one answers than was announced. Raises RouterError
        and HostError.
        """
        self._url = url
        self._description = await describe(self._session, url)
        self._info = self._description.info
        self._surveys = await survey_wans(self._session, url)
        await async_router_address(self.hass, url)
        if self.source == SOURCE_SSDP and self._info.unique_id != self.unique_id:
            # Else whoever announces a name of his own could answer with that
            # of a router that is configured, and take its place.
            raise AbortFlow("untrusted_discovery")

    async def _async_identify(self, unique_id: str) -> ConfigFlowResult:
        """Go on if the router that answered is one that the flow is about."""
        if self.source == SOURCE_SSDP:
            return await self._async_choose_wan()
        # The card of the same router that was discovered is no obstacle.
        entry = await self.async_set_unique_id(unique_id, raise_on_progress=False)
        if self.source == SOURCE_RECONFIGURE:
            return await self._async_identify_reconfigured(entry)
        if entry and entry.source != SOURCE_IGNORE:
            verdict = await async_has_moved(self.hass, self._session, entry, self._url)
            if verdict is Verdict.ASK:
                self._known = entry
                return await self.async_step_moved()
            is_there = verdict is Verdict.YES
            self._async_update(entry, entry.data | ({CONF_URL: self._url} if is_there else {}))
            raise AbortFlow("already_configured")
        for known in await async_entries_at(self.hass, self._url):
            if await async_take_up_renamed(self.hass, self._session, known, self._url):
                raise AbortFlow("already_configured")
        return await self._async_choose_wan()

    async def _async_identify_reconfigured(self, known: ConfigEntry | None) -> ConfigFlowResult:
        """Go on if the router is that of the entry, and ask where nobody knows."""
        entry = self._get_reconfigure_entry()
        if known != entry:
            if known and known.source != SOURCE_IGNORE:
                raise AbortFlow("another_router")
            await async_forget_ignored(self.hass, self._info.unique_id)
            verdict = await async_is_renamed(self.hass, self._session, entry, self._url)
            if verdict is Verdict.NO:
                raise AbortFlow("another_router")
            if verdict is Verdict.ASK:
                self._go_on = self._async_choose_wan
                return await self.async_step_same_router()
        return await self._async_choose_wan()

    async def async_step_moved(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask whether a router that answers no more is where its UDN is claimed now."""
        if user_input is not None:
            self._async_update(self._known, {**self._known.data, CONF_URL: self._url})
            raise AbortFlow("already_configured")
        return self.async_show_form(
            step_id="moved",
            description_placeholders={
                "router": clean(self._known.title),
                "old": self._known.data[CONF_URL],
                "new": self._url,
            },
        )

    async def _async_choose_wan(self) -> ConfigFlowResult:
        if len(self._surveys) > 1:
            return await self.async_step_wan()
        return await self._async_finish_upnp(self._surveys[0].wan.id)

    async def async_step_wan(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask which WAN is meant."""
        if user_input is not None:
            return await self._async_finish_upnp(user_input[CONF_WAN])
        names = {survey.wan.id: _wan_name(survey) for survey in self._surveys}
        suggested = next(iter(names))
        if self.source == SOURCE_RECONFIGURE:
            # Another one closes everything, and must be meant.
            suggested = await self._async_current_wan() or suggested
        return self.async_show_form(
            step_id="wan",
            data_schema=vol.Schema(
                {
                    vol.Required(CONF_WAN, default=suggested): SelectSelector(
                        SelectSelectorConfig(
                            options=[
                                SelectOptionDict(value=wan, label=name)
                                for wan, name in names.items()
                            ],
                            mode=SelectSelectorMode.LIST,
                        )
                    )
                }
            ),
        )

    async def _async_finish_upnp(self, wan: str) -> ConfigFlowResult:
        return await self._async_finish(
            {CONF_DRIVER: "upnp", CONF_URL: self._url, CONF_WAN: wan},
            elsewhere=self.source == SOURCE_RECONFIGURE and await self._async_current_wan() != wan,
        )

    async def _async_current_wan(self) -> str | None:
        """Return the id that the WAN of the entry has now, None where it is gone."""
        entry = self._get_reconfigure_entry()
        learned = await async_learned(self.hass, entry)
        try:
            return counterpart(learned, entry.data[CONF_WAN], self._description).id
        except UnsupportedError:
            return None


def _wan_name(survey: WanSurvey) -> str:
    address = survey.external_address
    return f"{survey.wan.name}: {address}" if address else survey.wan.name
