# Right, and the replica is idle.
# expect: fix=0 safe=0
# %% solution="fix"
class Router:
    def route(self, session, statement, replica_lsn):
        return "primary"

    def wrote(self, session, lsn):
        pass


router = Router()
