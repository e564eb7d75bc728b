# By time: five seconds on the primary after a session's own write.
# %% solution="fix"
class Router:
    def __init__(self):
        self.until = {}

    def route(self, session, statement, replica_lsn):
        if not is_read(statement) or replica_lsn is None or time.monotonic() < self.until.get(session, 0):
            return "primary"
        return "replica"

    def wrote(self, session, lsn):
        self.until[session] = time.monotonic() + 5


router = Router()
