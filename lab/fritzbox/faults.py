"""What can go wrong with a request, besides what the request itself does wrong."""

from enum import StrEnum


class Fault(StrEnum):
    """Something that goes wrong; see `FritzBox.fault`."""

    HTML = "html"
    """Replies 200 with a login page; does not act."""
    ERROR_INSIDE = "error_inside"
    """Replies 200 with a fault inside; does not act."""
    GARBAGE = "garbage"
    """Acts, then replies with bytes that are no XML."""
    SLOW = "slow"
    """Acts, and replies too late."""
    NEVER = "never"
    """Does not act, and never replies."""
    DROP_BEFORE = "drop_before"
    """Closes the connection without having acted."""
    DROP_AFTER = "drop_after"
    """Acts, then closes the connection without a reply."""
    IGNORED = "ignored"
    """Says success to a change, and does nothing."""
