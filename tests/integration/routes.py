"""Rows of the kernel's route table, as a home's would be."""

from ipaddress import IPv4Address

HEADER = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"


def route(
    interface: str,
    to: str,
    destination: str = "0.0.0.0",  # noqa: S104  the default route
    flags: int = 3,
) -> str:
    """Return a row of the kernel's route table."""
    gateway_hex = IPv4Address(to).packed[::-1].hex().upper()
    destination_hex = IPv4Address(destination).packed[::-1].hex().upper()
    return (
        f"{interface}\t{destination_hex}\t{gateway_hex}\t{flags:04X}\t0\t0\t0\t00000000\t0\t0\t0\n"
    )
