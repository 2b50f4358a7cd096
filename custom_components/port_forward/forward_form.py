"""The fields of the forms of a forward, and what is kept of them."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, override

import voluptuous as vol
from homeassistant.const import CONF_NAME, CONF_PROTOCOL
from homeassistant.helpers.selector import (
    BooleanSelector,
    DurationSelector,
    DurationSelectorConfig,
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    TextSelector,
)

from .const import (
    CONF_ALLOWED_SOURCE,
    CONF_CLOSE_AFTER,
    CONF_EXTERNAL_PORTS,
    CONF_INTERNAL_HOST,
    CONF_INTERNAL_PORTS,
    CONF_IP_VERSION,
    CONF_UNTIL_CLOSED,
    DEFAULT_CLOSE_AFTER,
    PROTOCOL_BOTH,
    THIS_HOME_ASSISTANT,
)
from .forwards import IpVersion
from .routers.model import Protocol


class _AnyDuration(DurationSelector):
    """Takes also what is too long for Python, so that the error is told at the field.

    Home Assistant's own raises OverflowError, and the form just fails.
    """

    @override
    def __call__(self, data: Any) -> dict[str, float]:
        try:
            return super().__call__(data)
        except OverflowError:
            return dict(data)


def _fields_of(duration: timedelta) -> dict[str, int]:
    minutes, seconds = divmod(duration.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return {"days": duration.days, "hours": hours, "minutes": minutes, "seconds": seconds}


_NAME = {vol.Required(CONF_NAME): TextSelector()}
_TIMES = {
    vol.Required(CONF_CLOSE_AFTER, default=_fields_of(DEFAULT_CLOSE_AFTER)): _AnyDuration(
        DurationSelectorConfig(enable_day=True)
    ),
    vol.Required(CONF_UNTIL_CLOSED, default=False): BooleanSelector(),
}
SCHEMA = vol.Schema(
    {
        **_NAME,
        vol.Required(CONF_INTERNAL_HOST): SelectSelector(
            SelectSelectorConfig(
                options=[SelectOptionDict(value=THIS_HOME_ASSISTANT, label=THIS_HOME_ASSISTANT)],
                custom_value=True,
                mode=SelectSelectorMode.DROPDOWN,
            )
        ),
        vol.Required(CONF_PROTOCOL, default=Protocol.TCP.value): SelectSelector(
            SelectSelectorConfig(
                options=[*Protocol, PROTOCOL_BOTH],
                mode=SelectSelectorMode.DROPDOWN,
                translation_key="protocol",
            )
        ),
        vol.Required(CONF_INTERNAL_PORTS): TextSelector(),
        vol.Optional(CONF_EXTERNAL_PORTS): TextSelector(),
        vol.Optional(CONF_ALLOWED_SOURCE): TextSelector(),
        vol.Required(CONF_IP_VERSION, default=IpVersion.IPV4.value): SelectSelector(
            SelectSelectorConfig(
                options=list(IpVersion),
                mode=SelectSelectorMode.DROPDOWN,
                translation_key="ip_version",
            )
        ),
        **_TIMES,
    }
)
# All else of an adopted rule is the router's.
ADOPTED_SCHEMA = vol.Schema({**_NAME, **_TIMES})


def title_and_data(user_input: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the subentry keeps: the name is its title, and no field is empty."""
    stripped = {
        key: value.strip() if isinstance(value, str) else value for key, value in user_input.items()
    }
    data = {key: value for key, value in stripped.items() if value != ""}
    return {"title": data.pop(CONF_NAME), "data": data}
