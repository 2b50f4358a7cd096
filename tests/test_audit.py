"""What is new on a router, and what is shown of what others have written."""

from dataclasses import replace

import pytest

from custom_components.port_forward.foreign.audit import MOST_ACCEPTED, Memory, fingerprint
from custom_components.port_forward.routers.errors import PortConflictError
from custom_components.port_forward.routers.model import PortMapping, PortRange, Protocol
from custom_components.port_forward.routers.shown import as_text, clean, code

CAMERA = PortMapping(
    protocols=(Protocol.TCP,),
    external_ports=PortRange.single(8080),
    internal_host="192.168.1.20",
    internal_ports=PortRange.single(80),
    description="Camera",
)


def marks(*names: str) -> set[str]:
    return set(names)


def test_what_was_accepted_may_come_and_go() -> None:
    memory = Memory(accepted=["camera"])
    assert memory.compare(marks("camera"), set()).appeared == ()
    assert memory.compare(set(), set()).disappeared == ()
    assert memory.compare(marks("camera"), set()).appeared == ()


def test_new_is_told_once_until_it_goes() -> None:
    memory = Memory()
    assert memory.compare(marks("new"), set()).appeared == ("new",)
    assert memory.compare(marks("new"), set()).appeared == ()
    change = memory.compare(set(), set())
    assert (change.appeared, change.disappeared) == ((), ("new",))
    assert memory.compare(marks("new"), set()).appeared == ("new",), "it was never accepted"


def test_accepted_is_told_again_only_when_it_was_closed() -> None:
    memory = Memory()
    memory.compare(marks("new"), set())
    memory.accept(["new"], marks("new"))
    assert memory.is_accepted("new")
    assert not memory.told
    assert memory.compare(set(), set()).disappeared == ()
    memory.forget("new")
    assert memory.compare(marks("new"), set()).appeared == ("new",)


def test_adopted_has_not_gone() -> None:
    memory = Memory()
    memory.compare(marks("new"), set())
    assert memory.compare(set(), marks("new")).disappeared == ()
    assert memory.compare(marks("new"), set()).appeared == ("new",), "its forward was deleted"


def test_memory_outlives_a_restart() -> None:
    memory = Memory(accepted=["a", "b"], told=["c"])
    again = Memory.from_json(memory.to_json())
    assert again.to_json() == {"accepted": ["a", "b"], "told": ["c"]}
    change = again.compare(marks("a", "c", "d"), set())
    assert (change.appeared, change.disappeared) == (("d",), ())


def test_memory_is_bounded_and_keeps_what_is_there() -> None:
    memory = Memory()
    old = [f"old {number}" for number in range(MOST_ACCEPTED)]
    memory.accept(old, marks("old 0"))
    memory.accept(["new 1", "new 2"], marks("old 0", "new 1"))
    assert len(memory.to_json()["accepted"]) == MOST_ACCEPTED
    assert memory.is_accepted("old 0"), "the oldest, but still there"
    assert memory.is_accepted("new 1")
    assert memory.is_accepted("new 2")
    assert not memory.is_accepted("old 1")


@pytest.mark.parametrize(
    "changes",
    [
        {"protocols": (Protocol.UDP,)},
        {"external_ports": PortRange.single(8081)},
        {"internal_host": "192.168.1.21"},
        {"internal_ports": PortRange.single(81)},
        {"internal_ports": None},
        {"allowed_source": "198.51.100.7"},
        {"description": "Camera "},
    ],
)
def test_fingerprint_is_of_all_that_counts(changes: dict[str, object]) -> None:
    assert fingerprint(replace(CAMERA, **changes)) != fingerprint(CAMERA)  # type: ignore[arg-type]


def test_fingerprint_is_not_of_what_changes_by_itself() -> None:
    assert fingerprint(replace(CAMERA, id="17", hits=5)) == fingerprint(CAMERA)
    assert fingerprint(replace(CAMERA, allowed_source="*")) == fingerprint(CAMERA)


def test_fingerprint_takes_any_text() -> None:
    halves = replace(CAMERA, description="\udc80\x00\n")
    assert len(fingerprint(halves)) == 32


HOSTILE = [
    ("Camera", "Camera"),
    (" two\r\n2026-11-22 ERROR lines\t", "two 2026-11-22 ERROR lines"),
    ("\x1b[31mred\x07", "[31mred"),
    ("a\u202egnp.exe", "agnp.exe"),
    ("zero\u200bwidth\ufeff", "zerowidth"),
    ("half \udc80 character", "half character"),
    ("\u2028\u00a0", ""),
    ("x" * 65536, "x" * 99 + "…"),
    ("Küche 📷", "Küche 📷"),
]


@pytest.mark.parametrize(("written", "shown"), HOSTILE)
def test_clean(written: str, shown: str) -> None:
    assert clean(written) == shown
    assert clean(clean(written)) == shown


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("<img src=x onerror=alert(1)>", "`<img src=x onerror=alert(1)>`"),
        ("a` [b](http://evil.example) `c", "`a' [b](http://evil.example) 'c`"),
        ("", "`–`"),  # noqa: RUF001  a dash
        ("\n# Heading", "`# Heading`"),
    ],
)
def test_code(written: str, shown: str) -> None:
    assert code(written) == shown


def test_errors_show_what_others_have_written_as_it_is() -> None:
    error = PortConflictError(port="80", protocol="TCP", holder="cam (a\r\n2026 ERROR\x1b[2J)")
    assert error.placeholders["holder"] == "cam (a 2026 ERROR [2J)"
    assert str(error).isprintable()
    long = PortConflictError(port="80", protocol="TCP", holder="x" * 65536)
    assert len(long.placeholders["holder"]) == 200


def test_as_text() -> None:
    said = as_text("It leads to: 192.168.1.20:80 ([x](http://evil.example) <b> www.evil.example)")
    assert said == (
        r"It leads to: 192.168.1.20:80 \(\[x\]\(http\://evil.example\) \<b\> www\.evil.example\)"
    )
