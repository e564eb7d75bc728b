# By position, compared by hand; nothing is remembered of sessions that the replica has caught up with.
# %% solution="fix"
class Router:
    def __init__(self):
        self.written = {}

    def route(self, session, statement, replica_lsn):
        if not is_read(statement) or replica_lsn is None:
            return "primary"
        if session in self.written:
            high, low = (int(part, 16) for part in replica_lsn.split("/"))
            if (high, low) < self.written[session]:
                return "primary"
            del self.written[session]
        return "replica"

    def wrote(self, session, lsn):
        self.written[session] = tuple(int(part, 16) for part in lsn.split("/"))


router = Router()
