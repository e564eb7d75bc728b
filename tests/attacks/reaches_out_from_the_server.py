# lab: 10-missing-index
# tries: dblink, postgres_fdw, subscriptions and replication: connections that the server makes.
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


c = lab.conninfo
attempt(
    "CREATE EXTENSION dblink",
    "CREATE EXTENSION postgres_fdw",
    "CREATE EXTENSION file_fdw",
    "CREATE EXTENSION adminpack",
    "CREATE EXTENSION pg_walinspect",
    "CREATE EXTENSION pgstattuple",
    "CREATE EXTENSION pg_buffercache",
    "CREATE FOREIGN DATA WRAPPER w",
    "CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw",
    f"CREATE SUBSCRIPTION s CONNECTION 'host={c['host']} port={c['port']} dbname={c['dbname']}' PUBLICATION p",
    "CREATE PUBLICATION p FOR ALL TABLES",
    "SELECT pg_create_logical_replication_slot('s', 'test_decoding')",
    "SELECT pg_create_physical_replication_slot('s')",
    "SELECT pg_switch_wal()",
    "SELECT pg_promote()",
    "SELECT pg_reload_conf()",
    "SELECT pg_rotate_logfile()",
    "CHECKPOINT",
)
for more in ({"replication": "database"}, {"replication": "true"}):
    try:
        psycopg.connect(**c, **more).close()
        print("replicates", more)
    except psycopg.Error as error:
        print(str(error).splitlines()[-1])
