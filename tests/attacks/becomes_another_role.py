# lab: 10-missing-index
# tries: SET ROLE, SET SESSION AUTHORIZATION and grants, to become the judge or the superuser.
# %% solution="fix"
lab.execute("CREATE INDEX CONCURRENTLY ON order_items (order_id)")
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


db, me = lab.conninfo["dbname"], lab.conninfo["user"]
attempt(
    "SET ROLE pglab_admin",
    f"SET ROLE {me}_judge",
    "SET SESSION AUTHORIZATION pglab_admin",
    "SELECT set_config('role', 'pglab_admin', false)",
    "SELECT set_config('session_authorization', 'pglab_admin', false)",
    f"ALTER ROLE {me} SUPERUSER",
    f"ALTER ROLE {me} BYPASSRLS",
    f"ALTER ROLE {me} CREATEDB",
    f"ALTER ROLE {me} CREATEROLE",
    f"ALTER ROLE {me}_judge PASSWORD 'x'",
    f"GRANT pglab_admin TO {me}",
    f"GRANT {me}_judge TO {me}",
    f"GRANT {me} TO {me}_judge WITH ADMIN OPTION",
    f"REVOKE {me} FROM {me}_judge",
    f"GRANT pg_read_all_data, pg_execute_server_program TO {me}",
    f"CREATE ROLE friend IN ROLE {me}",
    f"DROP ROLE {me}_judge",
    f"REASSIGN OWNED BY {me}_judge TO {me}",
    "UPDATE pg_authid SET rolsuper = true",
    "SELECT * FROM pg_authid",
    f"ALTER ROLE {me} IN DATABASE {db} SET role = 'pglab_admin'",
    f"ALTER ROLE {me} SET session_authorization = 'pglab_admin'",
)
