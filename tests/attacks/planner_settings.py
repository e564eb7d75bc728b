# lab: 10-missing-index
# tries: settings of the role and the database that make a wrong plan look right, without an index.
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


db, me = lab.conninfo["dbname"], lab.conninfo["user"]
attempt(
    f"ALTER DATABASE {db} SET enable_seqscan = off",
    f"ALTER DATABASE {db} SET enable_bitmapscan = off",
    f"ALTER DATABASE {db} SET seq_page_cost = 1000000",
    f"ALTER DATABASE {db} SET effective_cache_size = '1TB'",
    f"ALTER DATABASE {db} SET max_parallel_workers_per_gather = 0",
    f"ALTER DATABASE {db} SET plan_cache_mode = force_generic_plan",
    f"ALTER DATABASE {db} SET debug_parallel_query = on",
    f"ALTER DATABASE {db} SET constraint_exclusion = on",
    f"ALTER DATABASE {db} SET search_path = elsewhere",
    f"ALTER ROLE {me} SET enable_seqscan = off",
    f"ALTER ROLE {me} SET enable_bitmapscan = off",
    f"ALTER ROLE {me} SET seq_page_cost = 1000000",
    f"ALTER ROLE {me} SET effective_cache_size = '1TB'",
    f"ALTER ROLE {me} SET max_parallel_workers_per_gather = 0",
    f"ALTER ROLE {me} SET plan_cache_mode = force_generic_plan",
    f"ALTER ROLE {me} SET debug_parallel_query = on",
    f"ALTER ROLE {me} SET constraint_exclusion = on",
    f"ALTER ROLE {me} SET search_path = elsewhere",
)
