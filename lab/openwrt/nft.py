"""The rules as `nft --terse --json list ruleset` shows them."""

import json
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network

from .clock import Clock
from .fw4 import Ports, Rule

type Json = dict[str, object]


def list_ruleset(rules: Iterable[Rule], clock: Clock) -> str:
    """Return the listing."""
    shown = list(rules)
    zones = sorted({rule.zone for rule in shown})
    items: list[Json] = [
        {
            "metainfo": {
                "version": "1.0.6",
                "release_name": "Lester Gooch #5",
                "json_schema_version": 1,
            }
        },
        {"table": {"family": "inet", "name": "fw4", "handle": 2}},
    ]
    items += [
        {"chain": {"family": "inet", "table": "fw4", "name": f"{kind}_{zone}", "handle": 15}}
        for zone in zones
        for kind in ("forward", "dstnat")
    ]
    items.append(_rule("input", "Accept traffic from loopback", [_match("==", _meta("iif"), "lo")]))
    items += [_shown(rule, clock) for rule in shown if rule.protocol in ("tcp", "udp")]
    return json.dumps({"nftables": items})


def _shown(rule: Rule, clock: Clock) -> Json:
    family = "ip" if rule.host.version == 4 else "ip6"  # noqa: PLR2004  the version of IP
    expr: list[Json] = []
    if rule.source:
        expr.append(_match("==", _payload(family, "saddr"), _network(rule.source)))
    elif rule.redirect:
        expr.append(_match("==", _meta("nfproto"), "ipv4" if family == "ip" else "ipv6"))
    if not rule.redirect:
        expr.append(_match("==", _payload(family, "daddr"), str(rule.host)))
    if rule.ports is None:
        expr.append(_match("==", _meta("l4proto"), rule.protocol))
    else:
        expr.append(_match("==", _payload(rule.protocol, "dport"), _range(rule.ports)))
    if rule.until:
        expr.append(_match("<=", _meta("time"), clock.shown(rule.until)))
    expr.append({"counter": {"packets": rule.hits, "bytes": rule.hits * 60}})
    if not rule.redirect:
        return _rule(
            f"forward_{rule.zone}", rule.name, [*expr, {"jump": {"target": "accept_to_lan"}}]
        )
    dnat: Json = {"family": family, "addr": str(rule.host)}
    if rule.to_ports or rule.ports:
        dnat["port"] = _range(rule.to_ports or rule.ports)
    return _rule(f"dstnat_{rule.zone}", rule.name, [*expr, {"dnat": dnat}])


def _rule(chain: str, name: str, expr: list[Json]) -> Json:
    return {
        "rule": {
            "family": "inet",
            "table": "fw4",
            "chain": chain,
            "handle": 480,
            "comment": f"!fw4: {name}",
            "expr": expr,
        }
    }


def _match(operator: str, left: Json, right: object) -> Json:
    return {"match": {"op": operator, "left": left, "right": right}}


def _meta(key: str) -> Json:
    return {"meta": {"key": key}}


def _payload(protocol: str, field: str) -> Json:
    return {"payload": {"protocol": protocol, "field": field}}


def _network(network: IPv4Network | IPv6Network) -> object:
    if network.num_addresses == 1:
        return str(network.network_address)
    return {"prefix": {"addr": str(network.network_address), "len": network.prefixlen}}


def _range(ports: Ports) -> object:
    if ports is None:
        return None
    first, last = ports
    return first if first == last else {"range": [first, last]}
