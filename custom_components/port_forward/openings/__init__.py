"""Openings: the ledger that remembers them and the keeper that makes them.

The only code that changes a router.
"""

from .activity import Activity, Kind, Reason
from .keeper import Keeper
from .ledger import Ledger, LedgerTooNewError, LedgerUnreadableError
from .limit import limited
from .opening import Opening, Phase
from .operations import GivenUpError

__all__ = [
    "Activity",
    "GivenUpError",
    "Keeper",
    "Kind",
    "Ledger",
    "LedgerTooNewError",
    "LedgerUnreadableError",
    "Opening",
    "Phase",
    "Reason",
    "limited",
]
