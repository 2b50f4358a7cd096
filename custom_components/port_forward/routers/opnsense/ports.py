"""Ports as OPNsense writes them: numbers, ranges, and names of services.

Source: OPNsense's core, Base/FieldTypes/PortField.php. Any other name is an
alias, and what that holds is not told.
"""

from ..model import EVERY_PORT, PORT_MAX, PortRange

_NAMES = """
afs3-fileserver=7000 aol=5190 auth=113 avt-profile-1=5004 cvsup=5999 domain=53 domain-s=853 ftp=21
hbci=3000 http=80 https=443 igmpv3lite=465 imap=143 imaps=993 ipsec-msft=10000 ipsec-nat-t=4500
isakmp=500 l2f=1701 ldap=389 ldaps=636 microsoft-ds=445 ms-streaming=1755 ms-wbt-server=3389
msnp=1863 nat-stun-port=3478 netbios-dgm=138 netbios-ns=137 netbios-ssn=139 nntp=119 ntp=123
openvpn=1194 pop3=110 pop3s=995 pptp=1723 radius=1812 radius-acct=1813 rfb=5900 sip=5060
sip-tls=5061 smtp=25 snmp=161 snmptrap=162 ssh=22 submission=587 submissions=465 telnet=23
teredo=3544 tftp=69 urd=465 wins=1512
"""
_WELL_KNOWN = {
    name: int(port) for name, _, port in (item.partition("=") for item in _NAMES.split())
}


def read_ports(text: str) -> PortRange | None:
    """Return the ports of a field, None for an alias; no text is every port."""
    if text in ("", "any"):
        return EVERY_PORT
    if text in _WELL_KNOWN:
        return PortRange.single(_WELL_KNOWN[text])
    try:
        return PortRange.parse(text)
    except ValueError:
        return None


def read_internal_ports(text: str, external: PortRange) -> PortRange | None:
    """Return where `external` leads: to the same ports, or from the given one on."""
    first = read_ports(text)
    if text in ("", "any") or first is None:
        return None if first is None else external
    last = first.first + len(external) - 1
    return PortRange(first=first.first, last=last) if last <= PORT_MAX else None
