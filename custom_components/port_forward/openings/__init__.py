"""Openings: the ledger that remembers them and the keeper that makes them.

The only code that changes a router.
"""

from .activity import Activity, Kind, Reason
from .keeper import Keeper
from .ledger import Ledger, LedgerUnreadableError
from .limit import limited
from .opening import Opening, Phase
from .turns import KeeperStoppedError

__all__ = [
    "Activity",
    "Keeper",
    "KeeperStoppedError",
    "Kind",
    "Ledger",
    "LedgerUnreadableError",
    "Opening",
    "Phase",
    "Reason",
    "limited",
]
