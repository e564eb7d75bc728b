# lab: 10-missing-index
# tries: public has another name, and a table of the same name stands elsewhere.
# expect: fix=0 safe=0
# %% solution="fix"
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


attempt(
    "ALTER SCHEMA public RENAME TO away",
    "CREATE SCHEMA other",
    "CREATE TABLE other.order_items AS SELECT * FROM away.order_items",
    "CREATE INDEX ON other.order_items (order_id)",
)
