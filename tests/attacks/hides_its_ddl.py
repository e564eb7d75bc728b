# lab: 10-missing-index
# tries: an index built with the lock, and the server's log of DDL switched off, emptied or shadowed.
# expect: safe=3
# %% solution="fix"
import psycopg


def attempt(*statements):
    """Run each in a session of its own, and say what came of it."""
    for statement in statements:
        try:
            with lab.connect() as own:
                cursor = own.execute(statement.encode())
                print(
                    statement[:80], "->", cursor.fetchmany(20) if cursor.description else cursor.statusmessage
                )
        except psycopg.Error as error:
            print(statement[:80], "->", type(error).__name__, str(error).splitlines()[0])


attempt(
    "SET event_triggers = off",
    "SET session_replication_role = replica",
    "ALTER EVENT TRIGGER pglab_log_ddl DISABLE",
    "DROP EVENT TRIGGER pglab_log_ddl",
    "DELETE FROM pglab.ddl_log",
    "DROP SCHEMA pglab CASCADE",
    "ALTER SCHEMA pglab RENAME TO old",
    "CREATE SCHEMA pglab",
    "REVOKE ALL ON pglab.ddl_log FROM PUBLIC",
    "DROP FUNCTION pglab.log_ddl CASCADE",
    "CREATE EVENT TRIGGER mine ON ddl_command_start EXECUTE FUNCTION pglab.log_ddl()",
    "DROP OWNED BY pglab_admin CASCADE",
    "REASSIGN OWNED BY pglab_admin TO CURRENT_USER",
    "LOCK TABLE pglab.ddl_log",
    "UPDATE pg_event_trigger SET evtenabled = 'D'",
    "ALTER DATABASE " + lab.conninfo["dbname"] + " SET event_triggers = off",
)
with lab.connect() as own:
    own.execute("CREATE TEMP TABLE ddl_log (tag text, statement text, blocked jsonb)")
    own.execute("CREATE TEMP VIEW pg_locks AS SELECT NULL::int AS pid WHERE false")
    own.execute("CREATE FUNCTION pg_temp.pg_backend_pid() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    own.execute("CREATE INDEX /* CONCURRENTLY */ quietly ON order_items (order_id)")
