"""The Port Control Protocol (PCP, RFC 6887), and NAT-PMP (RFC 6886), which it comes from.

What real servers do instead is cited where it is handled.
"""

from .driver import PcpRouter, from_settings
from .exchange import Server

__all__ = ["PcpRouter", "Server", "from_settings"]
