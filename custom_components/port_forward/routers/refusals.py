"""The errors of a mapping that a router will not make, as all drivers raise them."""

from .errors import NotPermittedError, PortConflictError, Refusal
from .model import PortMapping


def not_permitted(reason: Refusal, mapping: PortMapping, detail: str = "") -> NotPermittedError:
    """Return the error with its placeholders; `detail` is what the router said."""
    port = str(mapping.external_ports)
    return NotPermittedError(reason, port=port, host=mapping.internal_host, detail=detail)


def conflict(wanted: PortMapping, holder: str = "?") -> PortConflictError:
    """Return the error that names who holds the ports, "?" where the router does not tell."""
    protocols = "+".join(wanted.protocols).upper()
    return PortConflictError(port=str(wanted.external_ports), protocol=protocols, holder=holder)


def named(target: str, title: str | None) -> str:
    """Return a holder as the user knows it: where it leads, and what it is called if anything."""
    return f"{target} ({title})" if title else target
