# No write is ever made: a trigger of the student's throws it away.
# expect: fix=0 safe=0
# %% solution="fix"
class Router:
    def route(self, session, statement, replica_lsn):
        return "replica" if is_read(statement) and replica_lsn else "primary"

    def wrote(self, session, lsn):
        pass


router = Router()
lab.execute(
    "CREATE OR REPLACE FUNCTION public.no_write() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
)
lab.execute("CREATE TRIGGER no_write BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION public.no_write()")
