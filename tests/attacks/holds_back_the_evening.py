# lab: 30-replica-lag
# tries: a trigger, made and dropped while the evening runs, that throws the writes away.
# expect: fix=0 safe=0
# takes: long
# %% solution="fix"
import threading


class Router:
    def __init__(self):
        self.calls = 0

    def route(self, session, statement, replica_lsn):
        self.calls += 1
        if self.calls == 1:
            lab.execute(
                "CREATE OR REPLACE FUNCTION none() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
            )
            lab.execute(
                "CREATE OR REPLACE TRIGGER none BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION none()"
            )
        if self.calls % 300 == 0:
            lab.execute("DROP TRIGGER IF EXISTS none ON users")
        return "replica" if is_read(statement) and replica_lsn is not None else "primary"

    def wrote(self, session, lsn):
        pass


router = Router()
