"""Openings: the ledger that remembers them and the keeper that makes them.

The only code that changes a router.
"""

from .keeper import Keeper
from .ledger import Ledger, LedgerUnreadableError, Opening, Phase

__all__ = ["Keeper", "Ledger", "LedgerUnreadableError", "Opening", "Phase"]
