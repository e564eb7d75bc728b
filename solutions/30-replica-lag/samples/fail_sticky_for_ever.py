# Who ever wrote never comes back to the replica.
# expect: fix=4
# %% solution="fix"
class Router:
    def __init__(self):
        self.writers = set()

    def route(self, session, statement, replica_lsn):
        return "replica" if is_read(statement) and replica_lsn and session not in self.writers else "primary"

    def wrote(self, session, lsn):
        self.writers.add(session)


router = Router()
