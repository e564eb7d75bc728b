# Somebody wrote in the last five seconds: everybody reads from the primary.
# expect: fix=0 safe=0
# %% solution="fix"
class Router:
    def __init__(self):
        self.until = 0

    def route(self, session, statement, replica_lsn):
        if not is_read(statement) or replica_lsn is None or time.monotonic() < self.until:
            return "primary"
        return "replica"

    def wrote(self, session, lsn):
        self.until = time.monotonic() + 5


router = Router()
