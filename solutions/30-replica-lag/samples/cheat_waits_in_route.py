# Each read waits in the router until the replica shows the session's write.
# expect: fix=0 safe=0
# %% solution="fix"
class Router:
    def __init__(self):
        self.written = {}

    def route(self, session, statement, replica_lsn):
        if not is_read(statement) or replica_lsn is None:
            return "primary"
        if as_number(replica_lsn) < self.written.get(session, 0):
            with lab.connect("replica") as conn:
                while as_number(ask(conn, REPLAYED)) < self.written[session]:
                    time.sleep(0.005)
        return "replica"

    def wrote(self, session, lsn):
        self.written[session] = as_number(lsn)


router = Router()
