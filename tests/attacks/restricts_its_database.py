# lab: 10-missing-index
# tries: no connection allowed to its database but its own.
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
    f"ALTER DATABASE {db} CONNECTION LIMIT 1",
    f"ALTER DATABASE {db} ALLOW_CONNECTIONS false",
    f"REVOKE ALL ON DATABASE {db} FROM PUBLIC",
    f"REVOKE ALL ON DATABASE {db} FROM {me}",
    f"REVOKE CONNECT ON DATABASE {db} FROM {me}_judge",
    f"ALTER DATABASE {db} SET TABLESPACE pg_default",
    f"ALTER ROLE {me} CONNECTION LIMIT 1",
    f"ALTER ROLE {me} VALID UNTIL '2000-01-01'",
)
