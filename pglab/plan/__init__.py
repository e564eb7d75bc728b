"""EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) as data: what each node did itself.

Postgres prints averages per loop, and counts that hold all of a node's children. Here everything is a total:

- rows, estimated rows and rows removed are the printed average times loops. Up to Postgres 17 that average is
  a whole number, so a total may be off by half a row per loop.
- ms is wall-clock time: average times loops, by the number of processes. Below a Gather several processes run
  the same nodes at once; their times are averaged over those that took part, so that a parent's time still
  covers its children's. A Gather's own time is then the leader starting workers, waiting and merging.
- an own figure (self_ms, shared_blks) is the node's total less its children's, never below 0. An InitPlan or
  a CTE hangs where it was planned, yet runs inside the node that first needs its result: it comes off there.

Blocks are of 8 kB (shared_blks = hit + read), times in ms.
"""

from pglab.plan.node import PlanNode
from pglab.plan.plan import Plan

__all__ = ["Plan", "PlanNode"]
