# lab: 10-missing-index
# tries: index builds, vacuums, large objects and notifications that go on while the judge measures.
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


import threading


def work(*statements):
    with lab.connect() as own:
        while True:
            for statement in statements:
                try:
                    own.execute(statement.encode())
                except psycopg.Error:
                    return


threading.Thread(
    target=work, args=["SELECT pg_notify('all', repeat('x', 7000)) FROM generate_series(1, 100)"], daemon=True
).start()
threading.Thread(
    target=work, args=["SELECT lo_from_bytea(0, decode(repeat('00', 100000), 'hex'))"], daemon=True
).start()
threading.Thread(target=work, args=["CREATE TABLE again (n int); DROP TABLE again"], daemon=True).start()
