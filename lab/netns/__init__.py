"""The namespace lab: a real router between a home and an internet, on this machine alone.

Debian's miniupnpd rules over the kernel's own packet filter, in network
namespaces that lead nowhere else. Needs Linux, root and a few packages, see
`UnavailableError`; `scripts/lab` is the same for people.
"""

from .miniupnpd import RealRouter, lease_row
from .namespace import Namespace
from .network import HomeNetwork
from .requirements import UnavailableError

__all__ = ["HomeNetwork", "Namespace", "RealRouter", "UnavailableError", "lease_row"]
