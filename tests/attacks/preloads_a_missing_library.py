# lab: 10-missing-index
# tries: a library that is not there, loaded at the start of every session, so that nobody can connect.
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
    f"ALTER DATABASE {db} SET local_preload_libraries = 'nothing'",
    f"ALTER DATABASE {db} SET session_preload_libraries = 'nothing'",
    f"ALTER DATABASE {db} SET jit_provider = 'nothing'",
    f"ALTER DATABASE {db} SET jit_above_cost = 0",
    f"ALTER DATABASE {db} SET jit_optimize_above_cost = 0",
    f"ALTER DATABASE {db} SET jit_inline_above_cost = 0",
)
