# lab: 10-missing-index
# tries: every session of its database starts as another role, the superuser's too.
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
    f"ALTER DATABASE {db} SET role = '{me}'",
    f"ALTER DATABASE {db} SET session_authorization = '{me}'",
    f"ALTER DATABASE {db} SET row_security = off",
    f"ALTER DATABASE {db} SET default_tablespace = 'pg_default'",
    f"ALTER DATABASE {db} SET default_table_access_method = 'heap'",
    f"ALTER DATABASE {db} SET temp_tablespaces = 'pg_default'",
)
