# lab: 10-missing-index
# tries: temporary tables, a schema with the role's name, functions and operators under the names that the referee uses.
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


me = lab.conninfo["user"]
attempt(
    f"CREATE SCHEMA {me}",
    f"CREATE SCHEMA {me}_judge",
    f"CREATE TABLE {me}_judge.order_items AS SELECT * FROM order_items",
    f"CREATE INDEX ON {me}_judge.order_items (order_id)",
    f"ALTER DATABASE {lab.conninfo['dbname']} SET search_path = '$user', public",
    "CREATE TABLE public.pg_database (datname text)",
    "CREATE TABLE public.pg_extension (extname text)",
    "CREATE FUNCTION public.md5(text) RETURNS text LANGUAGE sql AS 'SELECT ''x''::text'",
    "CREATE FUNCTION public.hashtextextended(text, bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint'",
    "CREATE FUNCTION public.sum(bigint) RETURNS numeric LANGUAGE sql AS 'SELECT 0::numeric'",
    "CREATE FUNCTION public.never(bigint, smallint) RETURNS boolean LANGUAGE sql AS 'SELECT false'",
    "CREATE OPERATOR public.= (LEFTARG = bigint, RIGHTARG = smallint, FUNCTION = public.never)",
    "CREATE OPERATOR public.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = int8eq)",
    "CREATE OPERATOR public.> (LEFTARG = bigint, RIGHTARG = smallint, FUNCTION = public.never)",
    "CREATE CAST (smallint AS text) WITH INOUT AS IMPLICIT",
    "CREATE DOMAIN public.bigint AS text",
    "CREATE TYPE public.int8 AS (x int)",
    "CREATE COLLATION public.\"default\" (provider = libc, locale = 'C')",
)
with lab.connect() as own:
    own.execute("CREATE TEMP TABLE order_items AS SELECT * FROM public.order_items")
    own.execute("CREATE INDEX ON pg_temp.order_items (order_id)")
