# lab: 10-missing-index
# tries: the same, and then a reset that fails: a lab that cannot be opened is nobody's failure.
# expect: diagnose-node=0 diagnose-rows=0 diagnose-blocks=0
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
    f"ALTER DATABASE {lab.conninfo['dbname']} IS_TEMPLATE true",
    f"ALTER DATABASE {lab.conninfo['dbname']} CONNECTION LIMIT 0",
)
try:
    lab.reset()
except Exception as error:
    print(error)
lab.execute("CREATE INDEX CONCURRENTLY ON order_items (order_id)")
