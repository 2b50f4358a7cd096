import pytest

from custom_components.port_forward.routers.tag import description_of, forward_id_of

from .forwards import forward


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Camera", "Camera [ha-pf:camera1]"),
        ("Tür zum Hof", "Tur zum Hof [ha-pf:camera1]"),
        ("日本", "Forward [ha-pf:camera1]"),
        ("", "Forward [ha-pf:camera1]"),
        ("-- ..", "Forward [ha-pf:camera1]"),
        ("a\r\nb\x00c", "a b c [ha-pf:camera1]"),
        ("<b>&[ha-pf:other]", "b ha-pf other [ha-pf:camera1]"),
        ("x" * 300, "x" * 47 + " [ha-pf:camera1]"),
    ],
)
def test_description(name: str, expected: str) -> None:
    description = description_of(forward(name=name))
    assert description == expected
    assert forward_id_of(description) == "camera1"
    assert len(description) <= 63


def test_the_longest_id_of_home_assistant_leaves_room_for_a_name() -> None:
    forward_id = "01K9ZZZZZZZZZZZZZZZZZZZZZZ"
    description = description_of(forward(name="Front door camera upstairs", forward_id=forward_id))
    assert description == f"Front door camera upstairs [ha-pf:{forward_id}]"


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("[ha-pf:a1]", "a1"),
        ("libminiupnpc: Came [ha-pf:a1] (3600)", "a1"),
        ("Camera", None),
        ("", None),
        ("Camera [ha-pf:a1", None),
        ("Camera [ha-pf:]", None),
        ("Camera [ha-pf:a 1]", None),
    ],
)
def test_tag_is_read_back(description: str, expected: str | None) -> None:
    assert forward_id_of(description) == expected
