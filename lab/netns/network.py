"""The network: an internet and a home with a router between them.

    internet 11.22.33.1 .10 .11, 2a11:2233::1 ::10 ::11
        │
     router 11.22.33.2, 2a11:2233::2 / 192.168.77.1, 2a11:2233:77::1
        │ bridge
        ├── home_assistant 192.168.77.2, 2a11:2233:77::2
        └── camera 192.168.77.3, 2a11:2233:77::3

The addresses of this internet are of the kind that a provider gives: miniupnpd
maps nothing behind private ones, nor behind those reserved for documentation.
Whoever has them outside is not reached, because no way leads out of here.
By IPv6 every computer of the home has such an address, and what keeps the
internet away from it is the router's firewall alone.
"""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from . import names
from .namespace import Namespace
from .process import CommandFailedError, run
from .requirements import UnavailableError, check, program

WAN_ADDRESS = "11.22.33.2"
FRIEND, STRANGER = "11.22.33.10", "11.22.33.11"
"""Two computers on the internet."""

ROUTER, HOME_ASSISTANT, CAMERA = "192.168.77.1", "192.168.77.2", "192.168.77.3"

WAN_ADDRESS6 = "2a11:2233::2"
FRIEND6, STRANGER6 = "2a11:2233::10", "2a11:2233::11"
ROUTER6, HOME_ASSISTANT6, CAMERA6 = "2a11:2233:77::1", "2a11:2233:77::2", "2a11:2233:77::3"

WAN, LAN = "wan", "lan"
"""The interfaces of the router; the others have one, `eth0`."""

_INTERNET_LINKS = f"""\
link set lo up
address add 11.22.33.1/24 dev eth0
address add {FRIEND}/24 dev eth0
address add {STRANGER}/24 dev eth0
address add {STRANGER6}/64 dev eth0
address add {FRIEND6}/64 dev eth0
address add 2a11:2233::1/64 dev eth0
link set eth0 up
route add 2a11:2233:77::/64 via {WAN_ADDRESS6}
"""

# Where the two ends of a link have the same index, Linux tells IPv6 only after
# a second that the link is there: hence the index of the first.
_ROUTER_LINKS = f"""\
link set lo up
link add {WAN} index 100 type veth peer name eth0 netns {{internet}}
link add {LAN} type bridge
link add to_ha type veth peer name eth0 netns {{home_assistant}}
link add to_camera type veth peer name eth0 netns {{camera}}
link set to_ha master {LAN} up
link set to_camera master {LAN} up
address add {ROUTER}/24 dev {LAN}
address add {ROUTER6}/64 dev {LAN}
link set {LAN} up
address add {WAN_ADDRESS}/24 dev {WAN}
address add {WAN_ADDRESS6}/64 dev {WAN}
link set {WAN} up
route add default via 11.22.33.1
route add default via 2a11:2233::1
"""

_HOST_LINKS = f"""\
link set lo up
address add {{address}}/24 dev eth0
address add {{address6}}/64 dev eth0
link set eth0 up
route add default via {ROUTER}
route add default via {ROUTER6}
"""

TABLE = "router"
FORWARD_CHAIN, NAT_CHAIN, POSTROUTING_CHAIN = "upnp_forward", "upnp_nat", "upnp_postrouting"
"""What miniupnpd fills."""

# The chains that others jump to come first. From the internet nothing gets in
# but answers and what miniupnpd lets through; a closed port says so at once,
# where routers at home are mostly silent: a test need not wait for a silence.
_FIREWALL = f"""\
table inet {TABLE} {{
  chain {FORWARD_CHAIN} {{ }}
  chain {NAT_CHAIN} {{ }}
  chain {POSTROUTING_CHAIN} {{ }}
  chain input {{
    type filter hook input priority filter; policy accept;
    iifname {WAN} ct state established,related accept
    iifname {WAN} meta l4proto tcp reject with tcp reset
    iifname {WAN} meta l4proto udp reject
  }}
  chain forward {{
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifname {LAN} accept
    jump {FORWARD_CHAIN}
    iifname {WAN} meta nfproto ipv6 meta l4proto tcp reject with tcp reset
    iifname {WAN} meta nfproto ipv6 meta l4proto udp reject
  }}
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    jump {NAT_CHAIN}
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    jump {POSTROUTING_CHAIN}
    oifname {WAN} meta nfproto ipv4 masquerade
  }}
}}
"""


class HomeNetwork:
    """The four namespaces, as an async context manager that removes them and all in them.

    Raises UnavailableError on a machine that cannot have them. What runs that
    were killed have left is removed first.
    """

    def __init__(self, label: str = "test") -> None:
        """Name what it is for, which is part of the names of the namespaces."""
        self._names = names.new(label)
        self.wan_address = WAN_ADDRESS

    @property
    def internet(self) -> Namespace:
        """What is beyond the router."""
        return self._namespace("internet")

    @property
    def router(self) -> Namespace:
        """The router itself."""
        return self._namespace("router")

    @property
    def home_assistant(self) -> Namespace:
        """The computer that Home Assistant runs on."""
        return self._namespace("home_assistant")

    @property
    def camera(self) -> Namespace:
        """Another computer of the home."""
        return self._namespace("camera")

    async def __aenter__(self) -> Self:
        """Make it."""
        check()
        await names.sweep()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._remove)
            await self._make()
            stack.pop_all()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove it."""
        await self._remove()

    async def set_wan_address(self, address: str) -> None:
        """Give the router this external address in place of the one it has.

        One that the internet reaches is of 11.22.33.0/24.
        """
        await self._links(
            self.router,
            f"address del {self.wan_address}/24 dev {WAN}\n"
            f"address add {address}/24 dev {WAN}\n"
            "route replace default via 11.22.33.1 onlink dev wan\n",
        )
        self.wan_address = address

    async def nft(self, *command: str) -> str:
        """Run `nft` on the router, such as `list ruleset`."""
        return await self.router.run(program("nft"), *command)

    def _namespace(self, role: str) -> Namespace:
        return Namespace(self._names[role])

    async def _make(self) -> None:
        for name in self._names.values():
            try:
                await run(program("ip"), "netns", "add", name)
            except CommandFailedError as error:
                # Root, but in a container that may not.
                raise UnavailableError(f"may not make a network namespace: {error}") from error
        for namespace in self._all():
            # An address counts at once, instead of being looked for elsewhere for a second.
            namespace.set_kernel("ipv6/conf/default/accept_dad", 0)
        await self._links(self.router, _ROUTER_LINKS.format(**self._names))
        await self._links(self.internet, _INTERNET_LINKS)
        for namespace, address, address6 in (
            (self.home_assistant, HOME_ASSISTANT, HOME_ASSISTANT6),
            (self.camera, CAMERA, CAMERA6),
        ):
            await self._links(namespace, _HOST_LINKS.format(address=address, address6=address6))
        self.router.set_kernel("ipv4/ip_forward", 1)
        self.router.set_kernel("ipv6/conf/all/forwarding", 1)
        # It tells of each packet to a closed port, not of some a second: tests wait for that.
        self.router.set_kernel("ipv4/icmp_ratelimit", 0)
        self.router.set_kernel("ipv6/icmp/ratelimit", 0)
        await self.router.run(program("nft"), "-f", "-", stdin=_FIREWALL)

    async def _links(self, namespace: Namespace, batch: str) -> None:
        await run(program("ip"), "-n", namespace.name, "-batch", "-", stdin=batch)

    async def _remove(self) -> None:
        for namespace in self._all():
            await names.remove(namespace)

    def _all(self) -> Iterator[Namespace]:
        yield from map(Namespace, self._names.values())
