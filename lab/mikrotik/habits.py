"""What nobody has seen of this API, so that the router may do either."""

from enum import StrEnum


class Habit(StrEnum):
    """A way in which a router may differ. Without any it does the likelier thing."""

    NO_WHOLE = "no_whole"
    """0.0.0.0/0 and ::/0 are refused in an address list."""
    WHOLE_MANGLED = "whole_mangled"
    """0.0.0.0/0 is stored as the address 0.0.0.0."""
    NO_PATCH = "no_patch"
    """The timeout of a dynamic address cannot be changed."""
    PATCH_IGNORED = "patch_ignored"
    """A new timeout of a dynamic address is answered well, and forgotten."""
    DELETE_IGNORED = "delete_ignored"
    """Items stay when they are deleted, with the right answer."""
    SWITCH_IGNORED = "switch_ignored"
    """Rules stay on or off when they are switched, with the right answer."""
    LIST_DROPPED = "list_dropped"
    """New rules lose their src-address-list: what is asked for is not what is made."""
    NO_IPV6 = "no_ipv6"
    """IPv6 is switched off, and with it its menus."""
    NO_BOARD_MENU = "no_board_menu"
    """A router without a board has no menu for it."""
