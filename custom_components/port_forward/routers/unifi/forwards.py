"""Forwards of the controller: ours as they have to be, and all of them as they are."""

from collections.abc import Iterator, Mapping

from ..model import Forward, Owner, PortMapping, PortRange, Protocol
from ..rule_texts import (
    mapping_id,
    network_of,
    owner_of,
    ports_of,
    same_place,
    source_of,
    sources_meet,
)
from ..tag import description_of, owner_in
from .api import Document

_PROTOCOLS: Mapping[str, tuple[Protocol, ...]] = {
    "tcp": (Protocol.TCP,),
    "udp": (Protocol.UDP,),
    "tcp_udp": (Protocol.TCP, Protocol.UDP),
}


def planned(forward: Forward) -> PortMapping:
    """Return the one mapping of a forward: it knows both protocols, and ranges."""
    return PortMapping(
        protocols=tuple(sorted(forward.protocols)),
        external_ports=forward.external_ports,
        internal_host=str(forward.internal_host),
        internal_ports=forward.internal_ports,
        allowed_source=source_of(forward.allowed_source),
        description=f"HA: {description_of(forward)}",
        id=mapping_id("", forward.owner),
    )


def values_of(mapping: PortMapping, wan: str) -> Document:
    """Return what the controller has to hold for a mapping of our plan.

    The limit of the source needs its switch: newer software takes `src` alone
    for a note.
    """
    limit: Document = (
        {
            "src": mapping.allowed_source,
            "src_limiting_enabled": True,
            "src_limiting_type": "ip",
        }
        if mapping.allowed_source
        else {"src": "any", "src_limiting_enabled": False}
    )
    return {
        "name": mapping.description,
        "enabled": True,
        "pfwd_interface": wan,
        "fwd": mapping.internal_host,
        "fwd_port": str(mapping.internal_ports),
        "dst_port": str(mapping.external_ports),
        "proto": "_".join(mapping.protocols),
        "destination_ip": "any",
        **limit,
    }


def is_held_as(document: Document, values: Document) -> bool:
    """Tell whether a document is what it has to be, and no wider.

    A destination that somebody has set besides can only make it narrower.
    """
    exact = ("enabled", "pfwd_interface", "fwd", "fwd_port", "dst_port", "proto")
    return (
        all(document.get(key) == values[key] for key in exact)
        and owner_in(_text(document, "name")) == owner_in(str(values["name"]))
        and _limits_alike(document, values)
    )


def _limits_alike(document: Document, values: Document) -> bool:
    if not values["src_limiting_enabled"]:
        return document.get("src_limiting_enabled") is not True
    return (
        document.get("src_limiting_enabled") is True
        and document.get("src_limiting_type") == "ip"
        and network_of(_text(document, "src")) == network_of(str(values["src"]))
    )


def is_tagged(document: Document, owner: Owner | None) -> bool:
    """Tell whether a document carries the tag of this forward."""
    return owner is not None and owner.has_made(owner_in(_text(document, "name")))


def is_ours(document: Document, mapping: PortMapping) -> bool:
    """Tell whether a document is what we made for this mapping: its tag, and where it leads."""
    return is_tagged(document, owner_of(mapping)) and any(
        same_place(made, mapping) for made in read(document)
    )


def read(document: Document, hits: Mapping[str, int] | None = None) -> Iterator[PortMapping]:
    """Iterate over the mappings of a document, one for each range of its ports."""
    protocols = _PROTOCOLS.get(_text(document, "proto"))
    host = _text(document, "fwd")
    if protocols is None or not host:
        return
    outside = ports_of(_text(document, "dst_port"))
    inside = _inside(document, outside)
    document_id = id_of(document)
    for external, internal in zip(outside, inside, strict=True):
        yield PortMapping(
            protocols=protocols,
            external_ports=external,
            internal_host=host,
            internal_ports=internal,
            allowed_source=_source(document),
            # Whatever is not clearly off counts as open: that is the error that does no harm.
            enabled=document.get("enabled") is not False,
            description=_text(document, "name"),
            id=mapping_id(document_id, owner_in(_text(document, "name"))),
            hits=(hits or {}).get(document_id),
        )


def _inside(document: Document, outside: tuple[PortRange, ...]) -> tuple[PortRange | None, ...]:
    """Return the internal ports of each range: its own one, one for all, or the same."""
    text = _text(document, "fwd_port")
    if not text:
        return outside
    try:
        parts = tuple(PortRange.parse(part) for part in text.split(","))
    except ValueError:
        return (None,) * len(outside)
    if len(parts) == len(outside):
        return parts
    return parts * len(outside) if len(parts) == 1 else (None,) * len(outside)


def _source(document: Document) -> str:
    """Return whom a document lets in; documents of old software have no switch for the limit."""
    if document.get("src_limiting_enabled", True) is not True:
        return ""
    if document.get("src_limiting_type") == "firewall_group":
        return f"group {_text(document, 'src_firewall_group_id')}"
    text = _text(document, "src")
    network = network_of(text)
    return source_of(network) if network is not None else text.replace("any", "")


def is_on(document: Document, wan: str) -> bool:
    """Tell whether a document is for this WAN."""
    named = _text(document, "pfwd_interface") or "wan"
    return named in (wan, "all") or (named == "both" and wan in ("wan", "wan2"))


def is_in_the_way(document: Document, wanted: PortMapping, wan: str) -> bool:
    """Tell whether a document takes a port that `wanted` is about, for part of its sources."""
    return document.get("enabled") is not False and any(
        sources_meet(mapping.allowed_source, wanted.allowed_source)
        for mapping in overlaps(document, wanted, wan)
    )


def overlaps(document: Document, wanted: PortMapping, wan: str) -> Iterator[PortMapping]:
    """Iterate over the mappings of a document that have a port in common with `wanted`."""
    if is_on(document, wan):
        for mapping in read(document):
            protocols = set(mapping.protocols) & set(wanted.protocols)
            if protocols and mapping.external_ports.overlaps(wanted.external_ports):
                yield mapping


def leads_like(document: Document, mapping: PortMapping) -> bool:
    """Tell whether a document makes just this mapping, with the same target."""
    return any(made.same_rule(mapping) for made in read(document))


def id_of(document: Document) -> str:
    """Return the id."""
    return _text(document, "_id")


def _text(document: Document, key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) else ""
