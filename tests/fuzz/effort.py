"""How many inputs each target gets, and what one of them may cost.

`scripts/test` tries 2,000 inputs in all, always the same ones. `scripts/fuzz`
sets FUZZ_INPUTS, and then they are drawn anew each time.
"""

import gc
import os
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hypothesis import HealthCheck, settings

_OF = 2000
_WANTED = os.environ.get("FUZZ_INPUTS")
INPUTS = int(_WANTED or _OF)

_MIB = 1024 * 1024
# CPU time while memory is traced, which takes several times as long as without.
_SECONDS = 0.5
_SECONDS_A_MIB = 8.0
_MEMORY = 4 * _MIB
# An empty element is three bytes, and one object of Python with its name at the least.
_MEMORY_A_BYTE = 256


@dataclass
class Spent:
    """What the inputs of one target took so far; `peak` is in bytes."""

    inputs: int = 0
    seconds: float = 0.0
    peak: int = 0


spent = Spent()
"""That of the test that runs now."""


def inputs(of_2000: int) -> settings:
    """Return how a target is to be run; `of_2000` is its part of 2,000 inputs."""
    made_up = settings(
        max_examples=max(of_2000 * INPUTS // _OF, 1),
        deadline=None,  # `bounded` counts CPU time instead: others may be at work here too
        print_blob=True,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
            HealthCheck.function_scoped_fixture,
        ],
    )
    return made_up if _WANTED else settings(made_up, derandomize=True, database=None)


def count() -> None:
    """Count an input whose cost is bounded in another way."""
    spent.inputs += 1


@contextmanager
def bounded(
    size: int, *, seconds: float | None = None, memory: int | None = None
) -> Iterator[None]:
    """Count one input of `size` bytes, and fail if what is done with it costs too much.

    `seconds` of CPU time and bytes of `memory` are in place of what a size may cost.
    """
    if seconds is None:
        seconds = _SECONDS + _SECONDS_A_MIB * size / _MIB
    if memory is None:
        memory = _MEMORY + _MEMORY_A_BYTE * size
    # What it would collect was left behind by others.
    gc.disable()
    tracemalloc.start()
    started = time.thread_time()
    try:
        yield
    finally:
        took = time.thread_time() - started
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        gc.enable()
        spent.inputs += 1
        spent.seconds += took
        spent.peak = max(spent.peak, peak)
    assert took <= seconds, f"{took:.1f} s for {size} bytes"
    assert peak <= memory, f"{peak} bytes of memory for {size} bytes"
