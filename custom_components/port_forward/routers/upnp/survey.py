"""Looking at every WAN of a router, to tell which one is meant."""

from dataclasses import dataclass
from ipaddress import IPv4Address

import aiohttp

from ..addresses import is_public
from ..errors import RouterError
from ..transport import TIMEOUT, Transport
from .description import Description, WanService, fetch
from .wan import WanConnection


@dataclass(frozen=True, kw_only=True, slots=True)
class WanSurvey:
    """One WAN as it is now; None where it did not say."""

    wan: WanService
    connected: bool | None
    external_address: IPv4Address | None


async def survey(
    session: aiohttp.ClientSession,
    url: str,
    *,
    timeout: float = TIMEOUT,  # noqa: ASYNC109  # that of each request, not of the whole
) -> tuple[WanSurvey, ...]:
    """Return every WAN of the router described at `url`, the best first.

    Raises as `describe` does, and the first WAN's error if none of them answers.
    """
    transport = Transport(session, timeout=timeout)
    return await rank(transport, await fetch(transport, url))


async def rank(transport: Transport, description: Description) -> tuple[WanSurvey, ...]:
    """Ask each WAN for its state; the first is connected and has a public address, if any is.

    The type of the service tells nothing: many routers keep a disconnected
    WANIPConnection beside the WANPPPConnection that is used (Q30).
    """
    surveys: list[WanSurvey] = []
    errors: list[RouterError] = []
    for service in description.wans:
        wan = WanConnection(transport, service)
        connected, address = None, None
        try:
            connected = (await wan.status()).connected
            address = await wan.external_address()
        except RouterError as error:
            errors.append(error)
        surveys.append(WanSurvey(wan=service, connected=connected, external_address=address))
    if len(errors) == len(surveys):
        raise errors[0]
    return tuple(sorted(surveys, key=_merit, reverse=True))


def _merit(survey: WanSurvey) -> tuple[bool, bool, bool]:
    address = survey.external_address
    return (survey.connected is True, is_public(address), address is not None)
