# lab: 10-missing-index
# tries: build new tables in a schema of its own, with their indexes, and have that schema take the place of public.
# expect: safe=2.5
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


with lab.connect() as own:
    names = [
        name
        for (name,) in own.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    ]
    own.execute("CREATE SCHEMA fresh")
    for name in names:
        own.execute(f"CREATE TABLE fresh.{name} (LIKE public.{name} INCLUDING ALL)")
    own.execute("CREATE INDEX order_items_order_id_idx ON fresh.order_items (order_id)")
    for name in names:
        own.execute(f"INSERT INTO fresh.{name} OVERRIDING SYSTEM VALUE SELECT * FROM public.{name}")
    own.execute("ALTER SCHEMA public RENAME TO old")
    own.execute("ALTER SCHEMA fresh RENAME TO public")
