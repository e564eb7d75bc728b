# The router of the incident, and one that knows of the outage.
# expect: fix=0 safe=0
# %% solution="fix"
class Router:
    def route(self, session, statement, replica_lsn):
        return "replica" if is_read(statement) and replica_lsn else "primary"

    def wrote(self, session, lsn):
        pass


router = Router()
