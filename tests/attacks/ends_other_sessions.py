# lab: 10-missing-index
# tries: a thread that tries to cancel and end every other session, all the while.
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


def hunt():
    with lab.connect() as own:
        while True:
            try:
                own.execute(
                    "SELECT pg_terminate_backend(pid), pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename <> current_user"
                )
            except psycopg.errors.InsufficientPrivilege:
                pass
            except psycopg.Error:
                return


threading.Thread(target=hunt, daemon=True).start()
