"""UPnP: the router names itself and its connections, and needs no login."""

from typing import Any

import voluptuous as vol
from homeassistant.config_entries import (
    SOURCE_IGNORE,
    SOURCE_RECONFIGURE,
    SOURCE_SSDP,
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
from ..discovery import async_has_moved
from ..routers.upnp import WanSurvey, describe
from ..routers.upnp import survey as survey_wans
from .base import RouterFlow


class UpnpSteps(RouterFlow):
    """Examines what is described at a URL, and asks which connection is meant."""

    _surveys: tuple[WanSurvey, ...]

    async def _async_examine(self, url: str) -> None:
        """Speak to the router before anything is made of it.

        Aborts when it is not a router that this flow may go on with. Raises
        RouterError and HostError.
        """
        self._url = url
        self._info = (await describe(self._session, url)).info
        self._surveys = await survey_wans(self._session, url)
        await async_router_address(self.hass, url)
        await self._async_identify(self._info.unique_id)

    async def _async_identify(self, unique_id: str) -> None:
        """Abort unless the router that answered is one that the flow is about."""
        if self.source == SOURCE_SSDP:
            # Else whoever announces a name of his own could answer with that
            # of a router that is configured, and take its place.
            if unique_id != self.unique_id:
                raise AbortFlow("untrusted_discovery")
            return
        # The card of the same router that was discovered is no obstacle.
        entry = await self.async_set_unique_id(unique_id, raise_on_progress=False)
        if self.source == SOURCE_RECONFIGURE:
            self._abort_if_unique_id_mismatch(reason="another_router")
        elif entry and entry.source != SOURCE_IGNORE:
            moved = await async_has_moved(self._session, entry, self._url)
            self._async_update(entry, {**entry.data, CONF_URL: self._url} if moved else entry.data)
            raise AbortFlow("already_configured")

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
            current = self._get_reconfigure_entry().data[CONF_WAN]
            suggested = current if current in names else suggested
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
            elsewhere=self.source == SOURCE_RECONFIGURE
            and self._get_reconfigure_entry().data[CONF_WAN] != wan,
        )


def _wan_name(survey: WanSurvey) -> str:
    address = survey.external_address
    return f"{survey.wan.name}: {address}" if address else survey.wan.name
