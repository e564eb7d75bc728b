# lab: 10-missing-index
# tries: date style, time zone, number format, encoding and byte format of every session.
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


db, me = lab.conninfo["dbname"], lab.conninfo["user"]
attempt(
    f"ALTER DATABASE {db} SET datestyle = 'SQL, DMY'",
    f"ALTER DATABASE {db} SET intervalstyle = 'sql_standard'",
    f"ALTER DATABASE {db} SET timezone = 'Asia/Kathmandu'",
    f"ALTER DATABASE {db} SET lc_numeric = 'C'",
    f"ALTER DATABASE {db} SET lc_monetary = 'C'",
    f"ALTER DATABASE {db} SET lc_time = 'C'",
    f"ALTER DATABASE {db} SET bytea_output = 'escape'",
    f"ALTER DATABASE {db} SET extra_float_digits = '-15'",
    f"ALTER DATABASE {db} SET client_encoding = 'SQL_ASCII'",
    f"ALTER DATABASE {db} SET standard_conforming_strings = 'off'",
    f"ALTER DATABASE {db} SET quote_all_identifiers = 'on'",
    f"ALTER DATABASE {db} SET xmloption = 'document'",
    f"ALTER DATABASE {db} SET array_nulls = 'off'",
    f"ALTER DATABASE {db} SET transform_null_equals = 'on'",
    f"ALTER DATABASE {db} SET client_encoding = 'SJIS'",
)
