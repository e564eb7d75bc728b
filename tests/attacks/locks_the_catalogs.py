# lab: 10-missing-index
# tries: an open transaction holds what the superuser reads: catalogs, advisory locks, an altered table.
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


locker = lab.connect(autocommit=False)
for statement in (
    "LOCK TABLE pg_class IN ACCESS SHARE MODE",
    "LOCK TABLE pg_catalog.pg_statistic",
    "LOCK TABLE pglab.facts",
):
    try:
        with locker.transaction():
            locker.execute(statement)
    except psycopg.Error as error:
        print(error)
locker.execute("ALTER TABLE shipments ADD COLUMN note text")
