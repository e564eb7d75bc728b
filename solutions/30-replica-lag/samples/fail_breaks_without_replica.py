# By position, and None is no position: the router itself raises.
# expect: safe=0
# %% solution="fix"
class Router:
    def __init__(self):
        self.written = {}

    def route(self, session, statement, replica_lsn):
        caught_up = as_number(replica_lsn) >= self.written.get(session, 0)
        return "replica" if is_read(statement) and caught_up else "primary"

    def wrote(self, session, lsn):
        self.written[session] = as_number(lsn)


router = Router()
