import pytest

from bench.protocol.clients import Ours, Step, contenders
from bench.protocol.measure import BARE, measure
from bench.protocol.report import tables, targets
from bench.routers import virtual_router
from bench.stats import Sample


async def test_every_contender_is_in_the_table_of_a_quick_run(socket_enabled: None) -> None:
    clients = contenders(of_miniupnpd=False)
    async with virtual_router() as router:
        measured = await measure(router, clients, rounds=2, sizes=(1, 3))

    names = {client.name for client in clients} | {BARE}
    assert {"Port Forward", "miniupnpc", "async-upnp-client"} < names
    for step in ("list 1", "list 3", Step.POLL, Step.OPEN, Step.CLOSE):
        assert {name for of, name in measured.times if of == step} == names
        assert {name for of, name in measured.costs if of == step} == names - {BARE}
    assert all(len(sample.seconds) == 2 for sample in measured.times.values())
    # One request for each row and the end; ours asks in bulk, whatever the number.
    assert measured.costs["list 3", "miniupnpc"].requests == 4
    assert measured.costs["list 3", Ours.name].requests == 3
    assert measured.costs["list 3", Ours.name].connections == 0

    lines = [line.strip().partition("  ")[0] for line in tables(measured, 2).splitlines()]
    for step in (Step.CONNECT, "list 1", "list 3", Step.POLL, Step.OPEN, Step.CLOSE):
        assert step in lines
    assert lines.count("miniupnpc") == 6
    assert any("quiet poll" in target.what for target in targets(measured))


def test_a_sample_is_its_median_and_quartiles() -> None:
    sample = Sample.of([0.005, 0.001, 0.002, 0.004, 0.003])
    assert sample.median == 0.003
    assert sample.quartiles == (0.002, 0.004)
    assert sample.fastest == 0.001
    assert str(sample) == "3.00 ms (2.00-4.00)"
    assert sample / Sample.of([0.0015]) == pytest.approx(2)
    with pytest.raises(ValueError, match="nothing"):
        Sample.of([])
