"""What nobody has seen of this API, so that the controller may do either."""

from enum import StrEnum


class Habit(StrEnum):
    """A way in which a controller may differ. Without any it does the likelier thing."""

    PUT_EMPTY = "put_empty"
    """A change is answered with no data."""
    PUT_IGNORED = "put_ignored"
    """A change is answered well, and not made."""
    LOGIN_401 = "login_401"
    """A wrong password is answered with 401 in place of 403."""
    NO_OVERLAP_CHECK = "no_overlap_check"
    """Two forwards may have the same port."""
    OVERLAP_WHEN_ON = "overlap_when_on"
    """Overlaps count between forwards that are switched on only."""
    LIMIT_DROPPED = "limit_dropped"
    """The limit of the source gets lost in every forward that is created or changed."""
    DELETE_IGNORED = "delete_ignored"
    """Forwards stay when they are deleted, with the right answer."""
    CSRF_ROTATES = "csrf_rotates"
    """Each change brings a new CSRF token, and the one before is not valid any more."""
