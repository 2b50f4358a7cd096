"""The packet filter: the rules in force, and the connections that they let in."""

from collections.abc import Collection, Iterator, Sequence
from ipaddress import ip_address, ip_network

from lab.relays import Flow, Port, Relays
from lab.virtual_router.mapping import VirtualMapping

from .rule import Fields, ports_of

MOST_PORTS = 64  # a rule for more than these is in force, but not listened for

type State = dict[str, str]


class PacketFilter(Relays):
    """What was applied last, really relaying; established connections outlive their rule."""

    def __init__(self, host: str, external_address: str) -> None:
        """Let the WAN be `host`, which says of itself that it has `external_address`."""
        super().__init__(host, self._decide_by_rules)
        self.external_address = external_address
        self.rules: tuple[Fields, ...] = ()

    async def load(self, rules: Sequence[Fields]) -> None:
        """Put these rules into force, the first that fits decides."""
        self.rules = tuple(rules)
        await self.refresh()

    async def refresh(self) -> None:
        """Listen for what may come in, and no more for ended connections of old rules."""
        await self.listen({port for rule in self.rules for port in self._ports(rule)})

    def states(self) -> list[State]:
        """Return the two states of each connection, as `query_states` lists them."""
        return [
            state for flow in self._ordered() for state in _states_of(flow, self.external_address)
        ]

    def kill(self, ids: Collection[str]) -> None:
        """End the connections of these states; one of the two is enough."""
        for flow in self._ordered():
            if any(state["id"] in ids for state in _states_of(flow, self.external_address)):
                self._end(flow)

    def find(self, text: str) -> list[State]:
        """Find states as the firewall does: by an address or a network, else by any text."""
        try:
            network = ip_network(text.strip())
        except ValueError:
            words = text.lower()
            return [
                state
                for state in self.states()
                if words in " ".join(filter(None, state.values())).lower()
            ]
        return [
            state
            for state in self.states()
            if any(
                state[key] and ip_address(state[key]) in network
                for key in ("src_addr", "dst_addr", "nat_addr")
            )
        ]

    def _end(self, flow: Flow) -> None:
        protocol, port, _ = flow.mapping.key
        self._relays[protocol, port].drop(flow.mapping.key)

    def _ordered(self) -> list[Flow]:
        return sorted(self.flows, key=lambda flow: flow.source)

    def _ports(self, rule: Fields) -> Iterator[Port]:
        """Return what a rule lets in, as far as it can be listened for."""
        span = ports_of(rule["destination.port"])
        if not self._is_in_force(rule) or span is None or span[1] - span[0] >= MOST_PORTS:
            return
        for protocol in _protocols(rule):
            for port in range(span[0], span[1] + 1):
                yield protocol, port

    def _decide_by_rules(self, protocol: str, port: int, source: str) -> VirtualMapping | None:
        for rule in self.rules:
            span = ports_of(rule["destination.port"])
            if (
                span
                and span[0] <= port <= span[1]
                and protocol in _protocols(rule)
                and self._is_in_force(rule)
                and _lets(rule, source)
            ):
                if rule["nordr"] == "1":
                    return None
                local = ports_of(rule["local-port"]) or span
                return VirtualMapping(
                    protocol=protocol,
                    external_port=port,
                    internal_host=rule["target"],
                    internal_port=local[0] + port - span[0],
                    remote_host=source,
                )
        return None

    def _is_in_force(self, rule: Fields) -> bool:
        return (
            rule["disabled"] == "0"
            and rule["pass"] in ("pass", "rule")
            and (not rule["interface"] or "wan" in rule["interface"].split(","))
            and rule["ipprotocol"] != "inet6"
            and rule["destination.network"] in ("", "any", "(self)", "wanip", self.external_address)
        )


def _protocols(rule: Fields) -> tuple[str, ...]:
    names = rule["protocol"] or "tcp/udp"
    return tuple(name.upper() for name in names.split("/") if name in ("tcp", "udp"))


def _lets(rule: Fields, source: str) -> bool:
    network = rule["source.network"]
    if network in ("", "any"):
        return True
    try:
        fits = ip_address(source) in ip_network(network, strict=False)
    except ValueError:
        return False  # an alias: what it holds is not simulated
    return fits is (rule["source.not"] == "0")


def _states_of(flow: Flow, address: str) -> tuple[State, State]:
    """Return the state of the WAN, with the address that was translated, and that of the LAN."""
    mapping = flow.mapping
    number = hash((*mapping.key, *flow.source)) & 0xFFFFFFFFFFFFFFFF
    common = {
        "proto": mapping.protocol.lower(),
        "ipproto": "ipv4",
        "dst_addr": mapping.internal_host,
        "dst_port": str(mapping.internal_port),
        "src_addr": flow.source[0],
        "src_port": str(flow.source[1]),
        "state": "ESTABLISHED:ESTABLISHED",
    }
    coming = {
        "label": "",
        "descr": "",
        "nat_addr": address,
        "nat_port": str(mapping.external_port),
        "iface": "igb0",
        "direction": "in",
        **common,
        "id": f"{number:016x}/5c1e7d2a",
    }
    going = {
        **coming,
        "nat_addr": "",
        "nat_port": "",
        "iface": "igb1",
        "direction": "out",
        "id": f"{number ^ 1:016x}/5c1e7d2a",
    }
    return coming, going
