"""An opening for fewer than the forward lets in."""

from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network

from homeassistant.exceptions import ServiceValidationError

from ..const import DOMAIN
from ..routers.model import Forward


def limited(forward: Forward, limit: IPv4Network | IPv6Network | None) -> Forward:
    """Return `forward` as it is opened for `limit` alone, None for all that it lets in.

    Raises ServiceValidationError where that would let in anybody whom the
    forward does not, or could not be kept.
    """
    if limit is None:
        return forward
    if forward.adopted:
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="source_of_rule")
    other = forward.internal_host6 if isinstance(limit, IPv4Network) else forward.internal_host
    if other is not None:
        # It would limit one of the two, and leave the other open to everybody.
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="source_of_other_version",
            translation_placeholders={"source": str(limit)},
        )
    own = forward.allowed_source
    if own and not _is_within(limit, own):
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="source_too_wide",
            translation_placeholders={
                "source": str(limit),
                "forward": forward.name,
                "allowed": str(own),
            },
        )
    # The whole internet as a network is no limit.
    return replace(forward, allowed_source=limit if limit.prefixlen else None)


def _is_within(limit: IPv4Network | IPv6Network, own: IPv4Network | IPv6Network) -> bool:
    """Tell whether all of `limit` is in `own`."""
    if isinstance(limit, IPv4Network):
        return isinstance(own, IPv4Network) and limit.subnet_of(own)
    return isinstance(own, IPv6Network) and limit.subnet_of(own)
