# lab: 10-missing-index
# tries: a template database cannot be dropped, and everybody may copy it.
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
    f"ALTER DATABASE {db} IS_TEMPLATE true",
    f"GRANT ALL ON DATABASE {db} TO PUBLIC",
)
