"""How long a driver waits where a test makes it wait in vain."""

from lab.http_faults import Fault

TIMEOUT = 1.0
"""Seconds. What else it asks meanwhile is answered within them, on a busy machine too."""


def patience(fault: Fault) -> float:
    """Wait in vain for what does not come, but not for what is just slow under load."""
    return TIMEOUT if fault in (Fault.SLOW, Fault.STUCK) else 10
