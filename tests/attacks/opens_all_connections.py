# lab: 10-missing-index
# tries: as many connections as the server gives, kept open.
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


kept = []
try:
    for _ in range(200):
        kept.append(lab.connect(connect_timeout=5))
except psycopg.Error as error:
    print(len(kept), error)
