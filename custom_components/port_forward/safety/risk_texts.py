"""What is said of a risky forward: what it is, why that is risky, and what is safer."""

from collections.abc import Sequence
from itertools import groupby

from homeassistant.core import HomeAssistant
from homeassistant.helpers.translation import async_get_translations

from ..const import DOMAIN
from .risk import Risk


async def async_describe_risks(hass: HomeAssistant, risks: Sequence[Risk]) -> str:
    """Return a paragraph of Markdown for each danger, with the services that share it."""
    texts = await _async_texts(hass)
    paragraphs = []
    for danger, alike in groupby(
        sorted(risks, key=lambda risk: risk.danger), lambda risk: risk.danger
    ):
        paragraphs.append(
            texts["risk_paragraph"].format(
                names=", ".join(texts[f"risk_name_{risk.key}"] for risk in alike),
                why=texts[f"risk_why_{danger}"],
                safer=texts[f"risk_safer_{danger}"],
            )
        )
    return "\n\n".join(paragraphs)


async def async_describe_until_closed(hass: HomeAssistant) -> str:
    """Return what to say of a risky forward that is to stay open until it is closed."""
    texts = await _async_texts(hass)
    return texts["risk_until_closed"]


async def _async_texts(hass: HomeAssistant) -> dict[str, str]:
    prefix = f"component.{DOMAIN}.common."
    texts = await async_get_translations(hass, hass.config.language, "common", [DOMAIN])
    return {key.removeprefix(prefix): text for key, text in texts.items()}
