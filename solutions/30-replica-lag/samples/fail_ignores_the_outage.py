# By position, and a replica that is out of service is asked all the same.
# expect: safe=2
# %% solution="fix"
class Router:
    def __init__(self):
        self.written = {}

    def route(self, session, statement, replica_lsn):
        if not is_read(statement):
            return "primary"
        if replica_lsn is None:
            return "replica"
        return "replica" if as_number(replica_lsn) >= self.written.get(session, 0) else "primary"

    def wrote(self, session, lsn):
        self.written[session] = as_number(lsn)


router = Router()
