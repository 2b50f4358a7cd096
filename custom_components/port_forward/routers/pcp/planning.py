"""From a forward to the mappings to ask for, and those that there are already."""

import secrets
from collections.abc import Iterable
from dataclasses import replace

from ..model import Forward, PortMapping, PortRange
from .grant import Grant
from .packets import NONCE_LENGTH, Network


def plan_of(forward: Forward) -> tuple[PortMapping, ...]:
    """Return a mapping for each family, protocol and pair of ports, with a nonce of its own."""
    source = forward.allowed_source
    return tuple(
        PortMapping(
            protocols=(protocol,),
            external_ports=PortRange.single(external),
            internal_host=str(host),
            internal_ports=PortRange.single(internal),
            allowed_source=_shown(source) if source else "",
            id=str(Grant(nonce=secrets.token_bytes(NONCE_LENGTH))),
        )
        for host in (forward.internal_host, forward.internal_host6)
        if host
        for protocol in forward.protocols
        for external, internal in zip(forward.external_ports, forward.internal_ports, strict=True)
    )


def as_known(
    mapping: PortMapping, known: Iterable[PortMapping], *, any_external_port: bool
) -> PortMapping:
    """Return `mapping` with the id that it has in `known`, and the port where any will do.

    Over IPv6 no port is as good as another.
    """
    for before in known:
        same = before.protocols == mapping.protocols and before.target == mapping.target
        # With another source it is another mapping: the filter of the old one would stay.
        if same and before.allowed_source == mapping.allowed_source and Grant.parse(before.id):
            moved = any_external_port and not mapping.is_pinhole
            ports = before.external_ports if moved else mapping.external_ports
            return replace(mapping, id=before.id, external_ports=ports)
    return mapping


def _shown(source: Network) -> str:
    """Return the text of an allowed source: an address, a network, or "" for any."""
    if not source.prefixlen:
        return ""
    single = source.prefixlen == source.max_prefixlen
    return str(source.network_address if single else source)
