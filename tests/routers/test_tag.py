import pytest

from custom_components.port_forward.routers.model import Owner
from custom_components.port_forward.routers.tag import description_of, owner_in

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
    assert str(owner_in(description)) == "camera1"
    assert len(description) <= 63


def test_the_longest_id_of_home_assistant_leaves_room_for_a_name() -> None:
    wanted = forward(
        name="Front door camera upstairs", forward_id="01K9ZZZZZZZZZZZZZZZZZZZZZZ", home="0a1b2c3d"
    )
    description = description_of(wanted)
    assert description == "Front door camera u [ha-pf:0a1b2c3d-01K9ZZZZZZZZZZZZZZZZZZZZZZ]"
    assert owner_in(description) == wanted.owner


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("[ha-pf:a1]", Owner(forward_id="a1")),
        ("libminiupnpc: Came [ha-pf:a1] (3600)", Owner(forward_id="a1")),
        ("HA: Camera [ha-pf:home1-a1]", Owner(forward_id="a1", home="home1")),
        ("Camera", None),
        ("", None),
        ("Camera [ha-pf:a1", None),
        ("Camera [ha-pf:home1-a1", None),
        ("Camera [ha-pf:]", None),
        ("Camera [ha-pf:-a1]", None),
        ("Camera [ha-pf:home1-]", None),
        ("Camera [ha-pf:b-home1-a1]", None),
        ("Camera [ha-pf:a 1]", None),
    ],
)
def test_tag_is_read_back(description: str, expected: Owner | None) -> None:
    assert owner_in(description) == expected


@pytest.mark.parametrize(
    ("tag", "is_ours"),
    [("home1-camera1", True), ("camera1", True), ("home2-camera1", False), ("home1-nas1", False)],
)
def test_whose_a_tag_is(tag: str, *, is_ours: bool) -> None:
    owner = forward(home="home1").owner
    assert owner.has_made(owner_in(f"Camera [ha-pf:{tag}]")) is is_ours
