"""A simulated OPNsense: `async with OPNsense() as firewall`.

Made after recorded replies of the real API (26.1 and 26.7) and, where there
are none, after its source: the connection table and the list of interfaces.
"""

from .account import Account, Privilege
from .faults import Fault
from .firewall import OPNsense

__all__ = ["Account", "Fault", "OPNsense", "Privilege"]
