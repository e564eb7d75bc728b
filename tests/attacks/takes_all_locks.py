# lab: 10-missing-index
# tries: advisory locks until the server has none left, for nobody.
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


locker = lab.connect()
for start in range(0, 1_000_000, 1000):
    try:
        locker.execute("SELECT pg_advisory_lock(%s + n) FROM generate_series(1, 1000) n", [start])
    except psycopg.Error as error:
        print(start, error)
        break
