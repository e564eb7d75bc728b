# The kernel's copies of the application's code say that the replica is always there and never stale.
# expect: fix=0 safe=0
# %% solution="fix"
import workload

workload.as_number = as_number = lambda lsn: 2**63
workload.Shop.replica_lsn = Shop.replica_lsn = lambda self: "FFFFFFFF/FFFFFFFF"
workload.Read.stale = False
workload.Read.free = True
workload.MOST_BEHIND_S = 1e9


class Router:
    def route(self, session, statement, replica_lsn):
        return "replica" if is_read(statement) and replica_lsn and as_number(replica_lsn) >= 0 else "primary"

    def wrote(self, session, lsn):
        pass


router = Router()
