# By position, for every statement: a write of a session that never wrote goes to the replica.
# expect: fix=0 safe=0
# %% solution="fix"
class Router:
    def __init__(self):
        self.written = {}

    def route(self, session, statement, replica_lsn):
        if replica_lsn is None:
            return "primary"
        return "replica" if as_number(replica_lsn) >= self.written.get(session, 0) else "primary"

    def wrote(self, session, lsn):
        self.written[session] = as_number(lsn)


router = Router()
