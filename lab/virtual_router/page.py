"""The router's own page, where a person sees what it holds."""

from collections.abc import Sequence
from html import escape

from .wan import WanConnection

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:3rem auto;max-width:50rem;padding:0 1rem;"
    "color:#1c2733}table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;padding:.4rem .8rem;border-bottom:1px solid #d5dde5}"
)


def status_page(name: str, wans: Sequence[WanConnection]) -> bytes:
    """Render the page as HTML; it reloads itself every 2 s."""
    parts = []
    for wan in wans:
        rows = "".join(
            f"<tr><td>{escape(row.description)}<td>{row.protocol}<td>{row.external_port}"
            f"<td>{escape(row.internal_host)}:{row.internal_port}"
            f"<td>{escape(row.remote_host) or 'anywhere'}<td>{wan.remaining(row) or 'permanent'}"
            for row in wan.mappings
        )
        parts.append(
            f"<h2>WAN {wan.index + 1}: {escape(wan.status)}, {escape(wan.external_address)}</h2>"
            "<table><tr><th>Name<th>Protocol<th>External port<th>Goes to<th>Open for"
            f"<th>Seconds left{rows}</table>" + ("" if rows else "<p>No port is open.</p>")
        )
    return (
        '<!DOCTYPE html><html lang="en"><meta charset="utf-8">'
        f'<meta http-equiv="refresh" content="2"><title>{escape(name)}</title>'
        f"<style>{STYLE}</style><h1>{escape(name)}</h1>{''.join(parts)}</html>\n"
    ).encode()
