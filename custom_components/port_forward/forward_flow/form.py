"""The fields of the forms of a forward, and what is kept of them."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, override

import voluptuous as vol
from homeassistant.const import CONF_DEVICE, CONF_NAME, CONF_PROTOCOL
from homeassistant.data_entry_flow import section
from homeassistant.helpers.selector import (
    BooleanSelector,
    DeviceSelector,
    DurationSelector,
    DurationSelectorConfig,
    EntitySelector,
    SelectOptionDict,
    Selector,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    TextSelector,
)

from ..const import (
    CAUSING_DEVICE,
    CONF_ADMINS_ONLY,
    CONF_ALLOWED_SOURCE,
    CONF_CLOSE_AFTER,
    CONF_CLOSE_WHEN_IDLE,
    CONF_CONFIRMED,
    CONF_EXTERNAL_PORTS,
    CONF_INTERNAL_HOST,
    CONF_INTERNAL_PORTS,
    CONF_IP_VERSION,
    CONF_LINGER,
    CONF_ONLY_WHILE_REACHABLE,
    CONF_OPENED_BY,
    CONF_TRIGGER_PORTS,
    CONF_TRIGGER_PROTOCOL,
    CONF_UNTIL_CLOSED,
    DEFAULT_CLOSE_AFTER,
    PROTOCOL_BOTH,
    THIS_HOME_ASSISTANT,
)
from ..forwards import IpVersion
from ..routers.model import Protocol


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


def fields_of(duration: timedelta) -> dict[str, int]:
    """Return a duration as its field in the form has it."""
    minutes, seconds = divmod(duration.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return {"days": duration.days, "hours": hours, "minutes": minutes, "seconds": seconds}


# The section at the end of both forms. Only the forms know of it: what is kept is flat.
MORE: Final = "more"

type _Fields = Mapping[vol.Marker, Selector[Any]]

_NAME: _Fields = {vol.Required(CONF_NAME): TextSelector()}
_TIMES: _Fields = {
    vol.Required(CONF_CLOSE_AFTER, default=fields_of(DEFAULT_CLOSE_AFTER)): _AnyDuration(
        DurationSelectorConfig(enable_day=True)
    ),
    vol.Required(CONF_UNTIL_CLOSED, default=False): BooleanSelector(),
}
_FIELDS: _Fields = {
    **_NAME,
    vol.Optional(CONF_INTERNAL_HOST): SelectSelector(
        SelectSelectorConfig(
            options=[
                SelectOptionDict(value=choice, label=choice)
                for choice in (THIS_HOME_ASSISTANT, CAUSING_DEVICE)
            ],
            custom_value=True,
            mode=SelectSelectorMode.DROPDOWN,
        )
    ),
    # Any: no filter knows which devices have a MAC, with a tracker or without one.
    vol.Optional(CONF_DEVICE): DeviceSelector(),
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
# All else of an adopted rule is the router's.
_ADOPTED_FIELDS: _Fields = {**_NAME, **_TIMES}

# What few need, of an adopted rule and of a forward.
_LIMITS: _Fields = {
    vol.Required(CONF_ADMINS_ONLY, default=False): BooleanSelector(),
    vol.Required(CONF_ONLY_WHILE_REACHABLE, default=False): BooleanSelector(),
    vol.Optional(CONF_CLOSE_WHEN_IDLE): _AnyDuration(DurationSelectorConfig(enable_day=True)),
}
_BY_ENTITY: _Fields = {vol.Optional(CONF_OPENED_BY): EntitySelector()}
_BY_TRAFFIC: _Fields = {
    vol.Optional(CONF_TRIGGER_PORTS): TextSelector(),
    vol.Optional(CONF_TRIGGER_PROTOCOL): SelectSelector(
        SelectSelectorConfig(
            options=[*Protocol, PROTOCOL_BOTH],
            mode=SelectSelectorMode.DROPDOWN,
            translation_key="protocol",
        )
    ),
}
_LINGER: _Fields = {
    vol.Optional(CONF_LINGER): _AnyDuration(DurationSelectorConfig(enable_day=True)),
}
_ADOPTED_MORE: _Fields = {**_LIMITS, **_BY_ENTITY, **_LINGER}
_MORE: _Fields = {**_LIMITS, **_BY_ENTITY, **_BY_TRAFFIC, **_LINGER}


def _with_more(fields: _Fields, more: _Fields) -> vol.Schema:
    return vol.Schema(
        {**fields, vol.Required(MORE): section(vol.Schema({**more}), {"collapsed": True})}
    )


SCHEMA = _with_more(_FIELDS, _MORE)
# For what is open already, and becomes a forward as it is.
NAME_AND_TIMES_SCHEMA = vol.Schema(_ADOPTED_FIELDS)
ADOPTED_SCHEMA = _with_more(_ADOPTED_FIELDS, _ADOPTED_MORE)

# What is asked where there is nothing else to choose.
CONFIRMED_SCHEMA = vol.Schema({vol.Required(CONF_CONFIRMED, default=False): BooleanSelector()})
RISKY_NAME_AND_TIMES_SCHEMA = NAME_AND_TIMES_SCHEMA.extend(CONFIRMED_SCHEMA.schema)

# What is asked once more of a risky forward.
CONFIRM_SCHEMA = vol.Schema(
    {
        vol.Required(CONF_CONFIRMED, default=False): BooleanSelector(),
        **_TIMES,
        vol.Required(CONF_ADMINS_ONLY, default=False): BooleanSelector(),
    }
)


def from_form(user_input: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a form gave without its section: flat, as it is kept."""
    values = dict(user_input)
    more: Mapping[str, Any] = values.pop(MORE)
    return {**values, **more}


def to_form(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return flat values as the form shows them."""
    return {key: value for key, value in values.items() if key not in _MORE} | {
        MORE: {key: value for key, value in values.items() if key in _MORE}
    }


def unfolded(schema: vol.Schema, errors: Mapping[str, str]) -> vol.Schema:
    """Return a form whose section is open if there is an error in it."""
    if not any(field in _MORE for field in errors):
        return schema
    more = section(schema.schema[MORE].schema, {"collapsed": False})
    return vol.Schema({**schema.schema, MORE: more})


def errors_at(errors: Mapping[str, str]) -> dict[str, str]:
    """Return the errors of fields where the frontend shows them.

    It shows none within a section, only right above it. So the text of an error
    of a field in there has to name the field.
    """
    return {MORE if field in _MORE else field: error for field, error in errors.items()}


def title_and_data(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the subentry keeps: the name is its title, and no field is empty."""
    stripped = {
        key: value.strip() if isinstance(value, str) else value for key, value in values.items()
    }
    data = {key: value for key, value in stripped.items() if value != ""}
    return {"title": data.pop(CONF_NAME), "data": data}
