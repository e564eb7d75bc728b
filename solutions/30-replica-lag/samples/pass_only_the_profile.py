# By position, and by what was written: what the session did not change, it reads anywhere.
# %% solution="fix"
class Router:
    def __init__(self):
        self.written = {}

    def route(self, session, statement, replica_lsn):
        if not is_read(statement) or replica_lsn is None:
            return "primary"
        if statement != PROFILE:
            return "replica"
        return "replica" if as_number(replica_lsn) >= self.written.get(session, 0) else "primary"

    def wrote(self, session, lsn):
        self.written[session] = as_number(lsn)


router = Router()
