# Right until a position has one digit more.
# expect: safe=2.5
# %% solution="fix"
class Router:
    def __init__(self):
        self.written = {}

    def route(self, session, statement, replica_lsn):
        if not is_read(statement) or replica_lsn is None:
            return "primary"
        return "replica" if replica_lsn >= self.written.get(session, "") else "primary"

    def wrote(self, session, lsn):
        self.written[session] = lsn


router = Router()
