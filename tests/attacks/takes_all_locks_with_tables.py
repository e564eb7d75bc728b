# lab: 10-missing-index
# tries: thousands of tables in one transaction, so that the server has no lock left for anybody.
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
try:
    locker.execute("""
    DO $$ BEGIN FOR n IN 1..30000 LOOP
      EXECUTE format('CREATE TABLE t%s (a int PRIMARY KEY, b text UNIQUE)', n);
    END LOOP; END $$""")
except psycopg.Error as error:
    print(error)
