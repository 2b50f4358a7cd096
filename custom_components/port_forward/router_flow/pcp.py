"""PCP and NAT-PMP: the router is known by its address, and needs no login."""

from math import ceil
from typing import Any

from homeassistant.config_entries import SOURCE_IGNORE, SOURCE_RECONFIGURE, ConfigFlowResult
from homeassistant.const import CONF_URL
from homeassistant.data_entry_flow import AbortFlow
from yarl import URL

from ..const import CONF_DRIVER
from ..routers.errors import RouterUnreachableError
from ..routers.registry import DRIVERS
from ..runtime import async_get_runtime
from .address import PCP, AddressError
from .base import RouterFlow


class PcpSteps(RouterFlow):
    """Takes a gateway that answers, and asks before another one takes its place."""

    async def _async_take_pcp(self, url: str) -> ConfigFlowResult:
        """Go on with the router at a URL such as `pcp://192.168.1.1`.

        Raises AddressError and RouterError.
        """
        self._url = url
        try:
            self._info = await DRIVERS[PCP](self._session, self._pcp_data(), learned={}).connect()
        except RouterUnreachableError as error:
            raise AddressError("no_pcp", field="base", **error.placeholders) from error
        entry = await self.async_set_unique_id(self._info.unique_id, raise_on_progress=False)
        if self.source == SOURCE_RECONFIGURE:
            changed = self._get_reconfigure_entry()
            if changed.unique_id == self.unique_id:
                return await self._async_finish(self._pcp_data())
            if entry is None:
                return await self.async_step_gateway()
        if entry and entry.source != SOURCE_IGNORE:
            self._async_update(entry, entry.data)
            raise AbortFlow("already_configured")
        return await self._async_finish(self._pcp_data())

    async def async_step_gateway(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask whether another gateway is really meant: what is open on the old one is closed."""
        if user_input is not None:
            return await self._async_change_gateway()
        old = URL(self._get_reconfigure_entry().data[CONF_URL])
        return self.async_show_form(
            step_id="gateway",
            description_placeholders={"old": str(old.host), "new": str(URL(self._url).host)},
        )

    async def _async_change_gateway(self) -> ConfigFlowResult:
        """Close what is open on the old gateway, and begin anew on the other one.

        Where the old one is gone for good, nobody can close anything on it;
        but all that it has granted ends with its lease.
        """
        entry = self._get_reconfigure_entry()
        runtime = await async_get_runtime(self.hass, entry)
        if error := await self._async_close_all(entry):
            seconds = runtime.seconds_to_run_out()
            if seconds is None:
                return self._async_abort_unclosed(str(error))
            if seconds:
                return self.async_abort(
                    reason="not_run_out",
                    description_placeholders={
                        "error": str(error),
                        "minutes": str(ceil(seconds / 60)),
                    },
                )
        await self.hass.config_entries.async_unload(entry.entry_id)
        await runtime.async_forget_router()
        is_named_by_address = str(URL(entry.data[CONF_URL]).host) in entry.title
        self.hass.config_entries.async_update_entry(
            entry,
            unique_id=self.unique_id,
            title=self._info.name if is_named_by_address else entry.title,
            data=self._pcp_data(),
        )
        self.hass.config_entries.async_schedule_reload(entry.entry_id)
        return self.async_update_and_abort(entry)

    def _pcp_data(self) -> dict[str, str]:
        return {CONF_DRIVER: PCP, CONF_URL: self._url}
