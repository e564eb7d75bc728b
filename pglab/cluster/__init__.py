"""A cluster of real Postgres nodes on this machine.

cluster = Cluster(Home.default())
cluster.up()
with cluster.primary.connect() as admin:
    admin.execute("SELECT version()")
cluster.down()
"""

from pglab.cluster.cluster import Cluster
from pglab.cluster.node import ADMIN, Node

__all__ = ["ADMIN", "Cluster", "Node"]
