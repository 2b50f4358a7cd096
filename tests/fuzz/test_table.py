"""Reading the whole table of a router that may do anything: it ends, and shows what is good."""

import aiohttp
from hypothesis import given
from hypothesis import strategies as st

from custom_components.port_forward.routers.errors import RouterError
from custom_components.port_forward.routers.upnp.listing import read_table
from custom_components.port_forward.routers.upnp.rows import read_row
from custom_components.port_forward.routers.upnp.soap import UpnpFault, read_answer
from custom_components.port_forward.routers.upnp.wan import WanConnection

from .checks import check_error, check_row
from .documents import (
    as_entry,
    bodies,
    elements,
    good_rows,
    mutated,
    port_listing,
    row_fields,
    soap,
    soap_fault,
    tag,
)
from .effort import bounded, count, inputs
from .test_documents import mapping_of
from .wire import Reply, Wire, cycle, service

ROW = "GetGenericPortMappingEntry"
BULK = "GetListOfPortMappings"
CODES = ("713", "714", "402", "401", "501", "606", "718", "730", "0", "", "٧١٣", "-1", "99999")

odd_replies: st.SearchStrategy[Reply] = st.one_of(
    st.tuples(
        st.sampled_from((200, 500, 404)),
        bodies(row_fields(in_list=False).map(lambda row: soap(ROW, elements(row)))),
    ),
    st.builds(
        lambda code: (500, soap_fault(code, "no").encode()),
        st.sampled_from(CODES),
    ),
    st.sampled_from(((200, b""), (200, b"<html>"), (0, b""), None)),
)


@inputs(40)
@given(st.lists(odd_replies, min_size=1, max_size=20), st.sampled_from((1, 2)))
async def test_any_router(
    session: aiohttp.ClientSession, replies: list[Reply], version: int
) -> None:
    """Whatever it says, and however often: rows or an error of ours, after 1,030 questions."""
    turn = cycle(replies)
    wire = Wire(session, lambda *_: next(turn))
    learned: dict[str, str] = {}
    with bounded(1024 * max(len(reply[1]) if reply else 0 for reply in replies)):
        try:
            rows = await read_table(WanConnection(wire, service(version)), learned)
        except RouterError as error:
            check_error(error)
            rows = ()
    for row in rows:
        check_row(row)
    # A question whose connection broke is asked twice.
    assert len(wire.asked) <= 2 * 1030
    assert all(isinstance(value, str) for value in learned.values())


@inputs(40)
@given(
    st.lists(good_rows(), unique_by=lambda row: row["NewExternalPort"], max_size=40),
    st.data(),
    st.sampled_from(("713", "714", "402")),
)
async def test_a_bad_row_hides_no_good_one(
    session: aiohttp.ClientSession, good: list[dict[str, str]], data: st.DataObject, end: str
) -> None:
    """Read one by one, with at most one bad answer between two good ones."""
    bad = st.none() | bodies(row_fields(in_list=False).map(lambda row: soap(ROW, elements(row))))
    replies: list[bytes] = []
    # A row that is shown a second time is where lists without an end begin anew (Q21).
    shown = {None, *(mapping_of(row).key for row in good)}
    for row in good:
        replies.append(soap(ROW, elements(row)).encode())
        garbage = data.draw(bad)
        if garbage is not None and (key := _key_of(garbage)) not in shown:
            replies.append(garbage)
            shown.add(key)

    def answer(action: str, arguments: dict[str, str]) -> Reply:
        index = int(arguments["NewPortMappingIndex"])
        return (
            (200, replies[index]) if index < len(replies) else (500, soap_fault(end, "").encode())
        )

    rows = await read_table(WanConnection(Wire(session, answer), service(1)), {})
    count()
    remaining = iter(rows)
    assert all(mapping_of(row) in remaining for row in good)


def _key_of(body: bytes) -> str | None:
    """The key of the row in an answer, None for the end of the list."""
    try:
        row = read_row(read_answer("h", ROW, 200, body))
    except UpnpFault as fault:
        return None if fault.code in (713, 714, 402) else f"fault {hash(body)}"
    except RouterError:
        row = None
    return row.key if row else f"none {hash(body)}"


@inputs(40)
@given(
    st.lists(good_rows(), unique_by=lambda row: row["NewExternalPort"], max_size=120),
    st.data(),
)
async def test_a_bad_entry_of_the_bulk_list_hides_no_good_one(
    session: aiohttp.ClientSession, good: list[dict[str, str]], data: st.DataObject
) -> None:
    """One entry is garbled beyond all bounds; then the rows are read one by one."""
    position = data.draw(st.integers(0, len(good)))
    entries = {"TCP": [as_entry(row) for row in good if row["NewProtocol"] == "TCP"]}
    entries["UDP"] = [as_entry(row) for row in good if row["NewProtocol"] == "UDP"]
    garbage = data.draw(mutated(row_fields(in_list=True).map(as_entry)))
    garbled = entries[data.draw(st.sampled_from(("TCP", "UDP")))]
    garbled.insert(min(position, len(garbled)), garbage)

    def answer(action: str, arguments: dict[str, str]) -> Reply:
        if action == BULK:
            listing = port_listing(entries[arguments["NewProtocol"]])
            return 200, soap(BULK, elements({"NewPortListing": listing})).encode("utf-8", "replace")
        index = int(arguments["NewPortMappingIndex"])
        if index < len(good):
            return 200, soap(ROW, elements(good[index])).encode()
        return 500, soap_fault("713", "").encode()

    rows = await read_table(WanConnection(Wire(session, answer), service(2)), {})
    count()
    assert all(mapping_of(row) in rows for row in good)


@inputs(30)
@given(st.lists(good_rows(), min_size=1, max_size=8), st.integers(1, 1100))
async def test_a_list_without_an_end(
    session: aiohttp.ClientSession, good: list[dict[str, str]], length: int
) -> None:
    """Again and again the same rows, or the last one for ever (Q21)."""
    bodies_of_rows = [soap(ROW, elements(row)).encode() for row in good]

    def answer(action: str, arguments: dict[str, str]) -> Reply:
        index = int(arguments["NewPortMappingIndex"])
        return 200, bodies_of_rows[min(index, length) % len(bodies_of_rows)]

    wire = Wire(session, answer)
    with bounded(10_000):
        rows = await read_table(WanConnection(wire, service(1)), {})
    assert rows
    assert len(wire.asked) <= len(good) + 1
    assert len({(row.key, row.target) for row in rows}) == len(rows)


@inputs(15)
@given(st.sampled_from((99, 100, 101, 128, 129, 600, 1023, 1024, 3000)), st.sampled_from((1, 2)))
async def test_no_long_list_is_asked_for_in_bulk(
    session: aiohttp.ClientSession, length: int, version: int
) -> None:
    """The bulk list of more than 128 rows kills miniupnpd 2.3.1 (Q23)."""

    def answer(action: str, arguments: dict[str, str]) -> Reply:
        if action == BULK:
            assert length <= 128
            entries = [as_entry(_row(index)) for index in range(length)]
            listing = port_listing(entries if arguments["NewProtocol"] == "TCP" else [])
            return 200, soap(BULK, tag("NewPortListing", f"<![CDATA[{listing}]]>")).encode()
        index = int(arguments["NewPortMappingIndex"])
        if index < length:
            return 200, soap(ROW, elements(_row(index))).encode()
        return 500, soap_fault("713", "").encode()

    rows = await read_table(WanConnection(Wire(session, answer), service(version)), {})
    count()
    assert len(rows) == min(length, 1024)


def _row(index: int) -> dict[str, str]:
    return {
        "NewExternalPort": str(index + 1),
        "NewProtocol": "TCP",
        "NewInternalPort": "80",
        "NewInternalClient": "192.0.2.5",
    }
