# lab: 10-missing-index
# tries: an index that no new row fits into, so that the judge's insert fails with a limit of the server's.
# expect: fix=0
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
    "CREATE FUNCTION wide(n bigint) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT string_agg(md5((n + i)::text), $$$$) FROM generate_series(1, CASE WHEN n > 1000000000 THEN 1000 ELSE 0 END) i'",
    "CREATE INDEX CONCURRENTLY wide ON order_items (order_id, wide(id))",
)
