"""Load on a server, and what its clients saw of it.

    result = closed_loop(request, connect=direct(conninfo), clients=50, seconds=10)
    result = open_loop(request, connect=pooled(conninfo, size=20), clients=20, rate=500, seconds=10)
    result = pgbench(conninfo, "SELECT 1", clients=2000, seconds=10)

`request` is an async function of one connection. In a closed loop a client sends its next request when the last one has
ended: a slow server gets less load. In an open loop requests come at a rate, whatever the server does: queues show.
"""

from pglab.load.connect import Connect, direct, pooled
from pglab.load.loops import closed_loop_async, open_loop_async
from pglab.load.pgbench import pgbench
from pglab.load.result import LoadResult, Snapshot
from pglab.load.run import Interrupted, closed_loop, open_loop

__all__ = [
    "Connect",
    "Interrupted",
    "LoadResult",
    "Snapshot",
    "closed_loop",
    "closed_loop_async",
    "direct",
    "open_loop",
    "open_loop_async",
    "pgbench",
    "pooled",
]
