"""A lab with a pooler where there is no PgBouncer: one sentence with the remedy, and nobody's failure."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from grader.session import OPENING, Session
from pglab.cluster import Cluster, pgbouncer
from pglab.errors import ClusterError

pytestmark = pytest.mark.embedded  # a container has its PgBouncer in the image

LAB = "23-pool-exhaustion"
NOWHERE = "/nowhere/pgbouncer"
RIGHT = """
[databases]
* =

[pgbouncer]
pool_mode = transaction
max_client_conn = 10000
default_pool_size = 50
"""


@pytest.fixture
def session(seeded: Cluster) -> Iterator[Session]:
    session = Session(seeded, "ida", graded=True, lab=LAB)
    yield session
    session.close()


def test_the_lab_says_so_before_it_makes_anything(
    seeded: Cluster, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGLAB_PGBOUNCER", NOWHERE)
    before = {cluster.home.root for cluster in seeded.owned}
    steps: list[str] = []
    with pytest.raises(ClusterError) as raised:
        session.start(LAB, steps.append)
    said = (
        f"PGLAB_PGBOUNCER is {NOWHERE}, and no program is there. Set it to PgBouncer's program, or unset it."
    )
    assert str(raised.value) == said
    assert steps == []
    assert {cluster.home.root for cluster in seeded.owned} == before
    opening = session.record()[OPENING]
    assert (opening["status"], opening["message"]) == ("error", f"could not measure: {said}")


def test_a_check_without_it_is_an_error(
    seeded: Cluster, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        pgbouncer.fetch(seeded.home)
    except ClusterError as error:
        pytest.skip(str(error))
    session.start(LAB)
    monkeypatch.setenv("PGLAB_PGBOUNCER", NOWHERE)
    for check in ("fix", "safe"):
        verdict = session.check(check, {"ini": RIGHT, "service_pool": 5})
        said = f"could not measure: PgBouncer is not installed. {pgbouncer.remedy()}."
        assert (verdict["status"], verdict["message"], verdict["targets"]) == ("error", said, [])
        assert session.record()[check]["status"] == "error"
