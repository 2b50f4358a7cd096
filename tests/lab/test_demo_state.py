"""What one run of the demo leaves to the next, and the ports that a run takes."""

import fcntl
import json
import socket
from contextlib import ExitStack
from dataclasses import astuple, fields, replace
from pathlib import Path

import pytest

from lab.demo.state import (
    HIGHEST_PORT,
    InUseError,
    Ports,
    State,
    choose_ports,
    is_free,
    new_memory,
)
from lab.virtual_router import free_range

ROLES = [field.name for field in fields(Ports)]


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "demo")


def test_ports_follow_that_of_home_assistant() -> None:
    base = free_row()
    assert choose_ports(base, None) == ports_from(base)


def test_ports_of_the_last_run_are_taken_again() -> None:
    known = ports_from(free_row())
    base = free_row()
    assert choose_ports(base, known) == replace(known, home_assistant=base)


def test_ports_that_are_taken_are_left_alone() -> None:
    known = ports_from(free_row())
    taken = {known.home_assistant, known.external, known.camera, known.router}
    with ExitStack() as stack:
        for port in taken:
            stack.enter_context(socket.create_server(("127.0.0.1", port)))
        chosen = astuple(choose_ports(known.home_assistant, known))
    assert len({*chosen}) == len(chosen)
    assert not taken & {*chosen}


def test_a_port_of_which_udp_is_taken_is_taken() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as somebody:
        somebody.bind(("127.0.0.1", 0))
        assert not is_free(somebody.getsockname()[1])


def test_no_port_is_above_the_highest() -> None:
    assert not is_free(HIGHEST_PORT + 1)


def test_the_memory_lasts(state: State) -> None:
    memory = new_memory(ports_from(free_row()))
    with state.claim():
        state.save(memory)
        assert state.load() == memory


def test_a_first_run_that_was_interrupted_is_forgotten(state: State) -> None:
    with state.claim():
        state.config.mkdir()
        assert state.load() is None
    assert not state.config.exists()


def test_one_demo_at_a_time(state: State) -> None:
    with state.claim(), pytest.raises(InUseError, match="running already"), state.claim():
        pass


def test_a_home_assistant_that_was_left_behind_is_named(state: State) -> None:
    state.config.mkdir(parents=True)
    # What Home Assistant does (homeassistant.runner.ensure_single_execution).
    with (state.config / ".ha_run.lock").open("w+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        json.dump({"pid": 4711}, lock)
        lock.flush()
        with pytest.raises(InUseError, match="kill 4711"), state.claim():
            pass


def free_row() -> int:
    """Find a port that is free like the three above it."""
    return free_range(len(ROLES))


def ports_from(base: int) -> Ports:
    return Ports(**{role: base + number for number, role in enumerate(ROLES)})
