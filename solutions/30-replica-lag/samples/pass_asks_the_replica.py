# By position, over a connection of the router's own: the server compares.
# %% solution="fix"
class Router:
    def __init__(self):
        self.written = {}
        self.conn = None

    def route(self, session, statement, replica_lsn):
        if not is_read(statement) or replica_lsn is None:
            self.conn = self.conn if replica_lsn else None
            return "primary"
        if session not in self.written:
            return "replica"
        if self.conn is None:
            self.conn = lab.connect("replica")
        there = self.conn.execute(
            "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", [self.written[session]]
        ).fetchone()[0]
        return "replica" if there else "primary"

    def wrote(self, session, lsn):
        self.written[session] = lsn


router = Router()
