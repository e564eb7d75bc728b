# lab: 10-missing-index
# tries: COPY PROGRAM, COPY to and from files, pg_read_file, large objects: the server's own hands on the disk.
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


attempt(
    "COPY order_items TO PROGRAM 'cat > /tmp/pglab-attack'",
    "COPY (SELECT 1) TO '/tmp/pglab-attack'",
    "CREATE TABLE got (line text)",
    "COPY got FROM PROGRAM 'id'",
    "COPY got FROM '/etc/passwd'",
    "SELECT pg_read_file('postgresql.conf')",
    "SELECT pg_read_binary_file('/etc/hostname')",
    "SELECT pg_ls_dir('.')",
    "SELECT pg_ls_logdir()",
    "SELECT pg_ls_waldir()",
    "SELECT pg_current_logfile()",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_export(lo_from_bytea(0, 'x'), '/tmp/pglab-attack')",
    "SELECT * FROM pg_hba_file_rules",
    "SELECT * FROM pg_file_settings",
    "SELECT setting FROM pg_settings WHERE name IN ('data_directory', 'config_file', 'hba_file')",
    "SELECT passwd FROM pg_shadow",
    "SELECT * FROM pg_stat_ssl",
    "SHOW primary_conninfo",
    "CREATE LANGUAGE plpython3u",
    "CREATE FUNCTION sys(text) RETURNS int LANGUAGE c AS 'libc.so.6', 'system'",
    "LOAD '/tmp/evil.so'",
    "CREATE TABLESPACE here LOCATION '/tmp'",
    "DROP TABLE got",
)
for line in lab.rows("SELECT query FROM pg_stat_activity") + lab.rows("SELECT query FROM pg_stat_statements"):
    print(line)
