# lab: 10-missing-index
# tries: rules on the tables and row security, which answer instead of the tables.
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
    "CREATE TABLE fast AS SELECT * FROM order_items",
    "CREATE INDEX ON fast (order_id)",
    "CREATE RULE also AS ON INSERT TO order_items DO ALSO INSERT INTO fast VALUES (NEW.*)",
    'CREATE RULE "_RETURN" AS ON SELECT TO order_items DO INSTEAD SELECT * FROM fast',
    "ALTER TABLE order_items ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE order_items FORCE ROW LEVEL SECURITY",
    "CREATE POLICY few ON order_items USING (id < 100) WITH CHECK (true)",
)
