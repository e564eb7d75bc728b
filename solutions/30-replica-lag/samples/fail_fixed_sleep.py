# Each write waits until the replica will have it, as measured on a quiet day.
# expect: fix=0 safe=0
# %% solution="fix"
class Router:
    def route(self, session, statement, replica_lsn):
        return "replica" if is_read(statement) and replica_lsn else "primary"

    def wrote(self, session, lsn):
        time.sleep(0.5)


router = Router()
