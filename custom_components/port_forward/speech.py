"""What voice assistants say, in the language that they were spoken to in."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.translation import async_get_translations
from homeassistant.util import dt as dt_util

from .const import DOMAIN

_ANSWERS: Final = "common"


async def async_say_open(
    hass: HomeAssistant, language: str, forward: str, deadline: datetime | None
) -> str:
    """Say that a forward is open, and until when."""
    if deadline is None:
        return await _async_text(hass, language, _ANSWERS, "open", {"forward": forward})
    local = dt_util.as_local(deadline)
    today = local.date() == dt_util.now().date()
    return await _async_text(
        hass,
        language,
        _ANSWERS,
        "open_until" if today else "open_until_day",
        {"forward": forward, "time": f"{local:%H:%M}", "date": f"{local:%Y-%m-%d}"},
    )


async def async_say_closed(hass: HomeAssistant, language: str, forward: str) -> str:
    """Say that a forward is closed."""
    return await _async_text(hass, language, _ANSWERS, "closed", {"forward": forward})


async def async_say_locked(hass: HomeAssistant, language: str) -> str:
    """Say that lockdown is on, wherever it could be."""
    return await _async_text(hass, language, _ANSWERS, "locked", {})


async def async_say_error(hass: HomeAssistant, language: str, error: HomeAssistantError) -> str:
    """Say what went wrong and what can be done about it."""
    if error.translation_domain != DOMAIN:
        return str(error)
    return await _async_text(
        hass,
        language,
        "exceptions",
        f"{error.translation_key}.message",
        error.translation_placeholders or {},
    )


async def _async_text(
    hass: HomeAssistant, language: str, category: str, key: str, values: Mapping[str, str]
) -> str:
    texts = await async_get_translations(hass, language, category, [DOMAIN])
    return texts[f"component.{DOMAIN}.{category}.{key}"].format(**values)
