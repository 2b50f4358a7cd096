"""PCP (RFC 6887) and NAT-PMP (RFC 6886), the router's side."""

from .server import PcpServer
from .settings import ANNOUNCE_GROUP, Pcp

__all__ = ["ANNOUNCE_GROUP", "Pcp", "PcpServer"]
