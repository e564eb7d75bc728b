# lab: 10-missing-index
# tries: the judge may not read the tables any more.
# expect: fix=0 safe=0
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
    f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {me}",
    f"REVOKE ALL ON SCHEMA public FROM {me}",
    f"REVOKE ALL ON SCHEMA public FROM PUBLIC",
    f"ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM {me}",
)
