"""Which cluster a lab runs on: the shared one, or one of its own below the same home.

A lab that exhausts connections, stops nodes or needs a replica says so in its lab.toml:

    cluster = "own"
    topology = ["primary", "replica"]
    scale = "small"
    [settings]
    max_connections = "500"
"""

from __future__ import annotations

from collections.abc import Callable

from grader.spec import Spec
from pglab.cluster import Cluster
from pglab.dataset import Dataset, seed

FETCH_LIMIT_S = 60.0  # a learner waits for it


def cluster_for(shared: Cluster, spec: Spec, name: str, on_step: Callable[[str], None]) -> Cluster:
    """The cluster that a lab's database `name` lives in, running, with the dataset and the replicas that it needs.

    Raises:
        NotRunning: the shared cluster is stopped; ClusterError, DatasetError, DiskFull: see Cluster.up, seed, and
        Pooler.fetch for a lab with a pooler.
    """
    shared.require_running()
    if "pooler" in spec.topology:  # first: nobody waits for a cluster that is of no use without it
        shared.pooler().fetch(on_step, FETCH_LIMIT_S)
    if not has_own(spec):
        return shared
    own = shared.own(name, {str(key): str(value) for key, value in spec.raw.get("settings", {}).items()})
    own.up(on_step)
    seed(own, Dataset.load(spec.dataset), spec.scale, lambda fraction, step: None)
    for node in spec.topology:
        if node.startswith("replica"):
            own.add_replica(node, on_step)
    return own


def has_own(spec: Spec) -> bool:
    """Whether the lab has a cluster of its own."""
    return spec.raw.get("cluster") == "own"
