"""What each shape of workflow costs for each job, counted by the server: no more than it did.

The numbers vary little from run to run, and not with the machine. What is cheaper by a change gets
lower bounds with it.
"""

from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

import pytest

from benchmarks.databases import Databases
from benchmarks.measurement import Run
from tests.support.databases import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


class Bounds(NamedTuple):
    """The most that a job may cost, inserting included: a fifth more than what was measured.

    Commits follow the sizes of batches, which follow time: they have twice what was measured. WAL
    has a third more, as the first change of a page after a checkpoint writes the whole page.
    """

    size: int
    commits: float
    rows: float
    buffers: float
    wal: float


SHAPES = {
    "independent": Bounds(1_200, 0.14, 3.1, 53, 2_000),
    "fan_out": Bounds(1_200, 0.14, 5.2, 76, 4_300),
    "fan_out_singly": Bounds(1_200, 0.14, 8.2, 110, 4_600),
    "chain": Bounds(1_200, 2.4, 8.2, 196, 4_100),
    "diamonds": Bounds(1_200, 0.14, 7.7, 102, 4_300),
    "nested": Bounds(1_200, 0.15, 4.8, 64, 3_400),
    "fan_outs_of_ten": Bounds(1_200, 0.17, 6.1, 87, 4_500),
    "cascades": Bounds(1_200, 0.19, 5.2, 88, 4_800),
    "cascades_of_ten": Bounds(1_200, 0.21, 6.1, 98, 5_000),
}


@pytest.fixture(scope="module")
def databases(postgres: Server) -> Iterator[Databases]:
    with closing(Databases(postgres.dsn("postgres"))) as databases:
        yield databases


@pytest.mark.parametrize("shape", SHAPES)
def test_a_job_costs_no_more_than_it_did(databases: Databases, shape: str) -> None:
    bounds = SHAPES[shape]
    costs = databases.measure(Run("workflows", shape, bounds.size), "analyzed").costs
    assert costs
    found = {name: costs[name] for name in ("commits", "rows", "buffers", "WAL bytes")}
    allowed = dict(zip(found, bounds[1:], strict=True))

    assert {name: cost for name, cost in found.items() if cost > allowed[name]} == {}, found
