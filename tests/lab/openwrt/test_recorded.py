"""The replies are those that uhttpd and rpcd gave, word for word.

The requests and replies were taken down by hand from real ones (rpcd 4476687
of April 2026, uhttpd f682cca of July 2026); SID stands for the session.
"""

import json

from lab.openwrt import OpenWrt

from .browser import Client

_CALL = '{"jsonrpc": "2.0", "id": 7, "method": "call", "params": ["SID", %s]}'
_OK = '{"jsonrpc":"2.0","id":7,"result":%s}'
_ERROR = '{"jsonrpc":"2.0","id":7,"error":{"code":%d,"message":"%s"}}'

_PLEX = (
    '"name": "HA: Plex", "src": "wan", "dest": "lan", "target": "DNAT", "proto": ["tcp", "udp"],'
    ' "src_dport": "32400", "dest_ip": "192.168.1.10", "dest_port": "32400",'
    ' "src_ip": "203.0.113.50", "enabled": "0", "reflection": "0"'
)

# In this order, each on what those before it left.
RECORDED = (
    ('"nosuch", "get", {}', _ERROR % (-32000, "Object not found")),
    ('"uci", "nosuch", {}', _ERROR % (-32002, "Access denied")),
    ('"uci", "get", {"config": "network"}', _OK % "[6]"),
    ('"uci", "get", {"config": "firewall", "type": "redirect"}', _OK % '[0,{"values":{}}]'),
    (
        (
            '"uci", "add", {"config": "firewall", "type": "redirect", "name": "ha_pf_plex",'
            f' "values": {{{_PLEX}}}}}'
        ),
        _OK % '[0,{"section":"ha_pf_plex"}]',
    ),
    (
        (
            '"uci", "add", {"config": "firewall", "type": "redirect", "values": {"name": "anon",'
            ' "src": "wan", "proto": "tcp", "src_dport": "2222", "dest_ip": "192.168.1.10",'
            ' "dest_port": 22}}'
        ),
        _OK % '[0,{"section":"cfg0f3837"}]',
    ),
    (
        '"uci", "changes", {"config": "firewall"}',
        _OK % '[0,{"changes":[["set","ha_pf_plex","redirect"],["set","ha_pf_plex","name","HA: Plex"'
        '],["set","ha_pf_plex","src","wan"],["set","ha_pf_plex","dest","lan"],["set","ha_pf_plex",'
        '"target","DNAT"],["list-add","ha_pf_plex","proto","tcp"],["list-add","ha_pf_plex","proto",'
        '"udp"],["set","ha_pf_plex","src_dport","32400"],["set","ha_pf_plex","dest_ip",'
        '"192.168.1.10"],["set","ha_pf_plex","dest_port","32400"],["set","ha_pf_plex","src_ip",'
        '"203.0.113.50"],["set","ha_pf_plex","enabled","0"],["set","ha_pf_plex","reflection","0"],'
        '["add","cfg0f3837","redirect"],["set","cfg0f3837","name","anon"],["set","cfg0f3837","src",'
        '"wan"],["set","cfg0f3837","proto","tcp"],["set","cfg0f3837","src_dport","2222"],["set",'
        '"cfg0f3837","dest_ip","192.168.1.10"],["set","cfg0f3837","dest_port","22"]]}]',
    ),
    (
        '"uci", "get", {"config": "firewall", "type": "redirect"}',
        _OK % '[0,{"values":{"ha_pf_plex":{".anonymous":false,".type":"redirect",".name":'
        '"ha_pf_plex",".index":13,"name":"HA: Plex","src":"wan","dest":"lan","target":"DNAT",'
        '"proto":["tcp","udp"],"src_dport":"32400","dest_ip":"192.168.1.10","dest_port":"32400",'
        '"src_ip":"203.0.113.50","enabled":"0","reflection":"0"},"cfg0f3837":{".anonymous":true,'
        '".type":"redirect",".name":"cfg0f3837",".index":14,"name":"anon","src":"wan","proto":"tcp"'
        ',"src_dport":"2222","dest_ip":"192.168.1.10","dest_port":"22"}}}]',
    ),
    ('"uci", "commit", {"config": "firewall"}', _OK % "[0]"),
    (
        '"uci", "get", {"config": "firewall", "section": "ha_pf_plex", "option": "enabled"}',
        _OK % '[0,{"value":"0"}]',
    ),
    ('"uci", "get", {"config": "firewall", "section": "nope"}', _OK % "[0]"),
    (
        (
            '"uci", "add", {"config": "firewall", "type": "redirect", "name": "ha_pf_plex",'
            ' "values": {"src_dport": "1"}}'
        ),
        _OK % '[0,{"section":"ha_pf_plex"}]',
    ),
    (
        '"uci", "get", {"config": "firewall", "section": "ha_pf_plex", "option": "src_dport"}',
        _OK % '[0,{"value":"1"}]',
    ),
    ('"uci", "revert", {"config": "firewall"}', _OK % "[0]"),
    (
        '"uci", "get", {"config": "firewall", "section": "ha_pf_plex", "option": "src_dport"}',
        _OK % '[0,{"value":"32400"}]',
    ),
    ('"uci", "add", {"config": "firewall", "type": "redirect", "name": "bad-name"}', _OK % "[2]"),
    (
        (
            '"uci", "add", {"config": "firewall", "type": "redirect", "name": "x1",'
            ' "values": {"bad opt": "1"}}'
        ),
        _OK % "[2]",
    ),
    (
        '"uci", "set", {"config": "firewall", "section": "missing", "values": {"enabled": "1"}}',
        _OK % "[4]",
    ),
    ('"uci", "set", {"config": "firewall", "section": "ha_pf_plex"}', _OK % "[2]"),
    (
        (
            '"uci", "set", {"config": "firewall", "section": "ha_pf_plex",'
            ' "values": {"enabled": true, "src_dport": 32401}}'
        ),
        _OK % "[0]",
    ),
    (
        '"uci", "changes", {"config": "firewall"}',
        _OK % '[0,{"changes":[["set","ha_pf_plex","enabled","1"],["set","ha_pf_plex","src_dport",'
        '"32401"]]}]',
    ),
    ('"uci", "apply", {"rollback": true, "timeout": 6}', _OK % "[0]"),
    ('"uci", "commit", {"config": "firewall"}', _OK % "[6]"),
    ('"uci", "apply", {"rollback": true, "timeout": 6}', _OK % "[6]"),
    ('"uci", "confirm", {}', _OK % "[0]"),
    ('"uci", "confirm", {}', _OK % "[5]"),
    ('"uci", "rollback", {}', _OK % "[5]"),
    ('"uci", "apply", {"rollback": true, "timeout": 5}', _OK % "[5]"),
    ('"uci", "delete", {"config": "firewall", "section": "cfg0f3837"}', _OK % "[0]"),
    ('"uci", "delete", {"config": "firewall", "section": "nope"}', _OK % "[4]"),
    (
        '"uci", "delete", {"config": "firewall", "section": "ha_pf_plex", "options": ["src_ip"]}',
        _OK % "[0]",
    ),
    (
        '"uci", "delete", {"config": "firewall", "section": "ha_pf_plex", "options": ["src_ip"]}',
        _OK % "[4]",
    ),
    ('"uci", "commit", {"config": "firewall"}', _OK % "[0]"),
    (
        (
            '"uci", "delete", {"config": "firewall", "type": "redirect",'
            ' "match": {"name": "HA: Plex"}}'
        ),
        _OK % "[4]",
    ),
    (
        (
            '"uci", "delete", {"config": "firewall", "type": "redirect",'
            ' "match": {"src_dport": "32401"}}'
        ),
        _OK % "[0]",
    ),
    (
        '"uci", "changes", {"config": "firewall"}',
        _OK % '[0,{"changes":[["remove","ha_pf_plex"]]}]',
    ),
    ('"uci", "revert", {"config": "firewall"}', _OK % "[0]"),
    (
        '"session", "access", {"scope": "uci", "object": "firewall", "function": "write"}',
        _OK % '[0,{"access":true}]',
    ),
    (
        '"session", "access", {"ubus_rpc_session": "SID"}',
        _ERROR % (-32602, "Invalid parameters"),
    ),
    (
        '"file", "exec", {"command": "/usr/sbin/nft", "params": ["list", "ruleset"]}',
        _OK % "[6]",
    ),
    ('"session", "destroy", {}', _OK % "[0]"),
    (
        '"uci", "get", {"config": "firewall", "type": "redirect"}',
        _ERROR % (-32002, "Access denied"),
    ),
)


async def test_every_reply_is_the_recorded_one(client: Client) -> None:
    for call, reply in RECORDED:
        _, answered = await client.post((_CALL % call).replace("SID", client.session))
        assert answered == reply, call


async def test_what_is_no_call(client: Client) -> None:
    parse_error = '{"jsonrpc":"2.0","id":%s,"error":{"code":-32700,"message":"Parse error"}}'
    assert await client.post("{this is no JSON") == (200, parse_error % "null")
    assert await client.post(b" " * 65537) == (200, parse_error % "null")
    short = '{"jsonrpc":"2.0","id":1,"method":"call","params":["SID","uci"]}'
    assert await client.post(short) == (200, parse_error % 1)
    foo = '{"jsonrpc":"2.0","id":1,"method":"foo","params":[]}'
    assert await client.post(foo) == (
        200,
        '{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found"}}',
    )


async def test_a_batch_is_answered_in_order(client: Client) -> None:
    calls = ['"uci", "changes", {"config": "firewall"}', '"nosuch", "get", {}']
    batch = "[" + ", ".join(_CALL % call for call in calls) + "]"
    _, answered = await client.post(batch.replace("SID", client.session))
    assert [reply.get("result", reply.get("error")) for reply in json.loads(answered)] == [
        [0, {"changes": []}],
        {"code": -32000, "message": "Object not found"},
    ]


async def test_what_a_login_answers(wrt: OpenWrt, client: Client) -> None:
    assert await client.call("session", "login", username="homeassistant") == [2]
    assert await client.call("session", "login", username="homeassistant", password="no") == [6]
    assert await client.call("session", "login", username="nobody", password="x") == [6]
    session = await client.login(timeout=3600)
    assert (session["timeout"], session["expires"]) == (3600, 3600)
    assert session["data"] == {"username": "homeassistant"}
    acls = session["acls"]
    assert isinstance(acls, dict)
    assert acls["access-group"] == {"portforward": ["read", "write"]}
    assert acls["uci"]["firewall"] == ["read", "write"]
    assert (await client.login())["timeout"] == 300


async def test_another_path_is_not_found(wrt: OpenWrt, client: Client) -> None:
    async with client.http.post(f"{wrt.url}/nosuch", data=b"{}") as response:
        assert response.status == 404
        assert response.content_type == "text/html"
        assert (
            await response.text()
            == "<h1>Not Found</h1>The requested URL /nosuch was not found on this server."
        )
