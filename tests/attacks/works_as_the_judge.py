# lab: 01-n-plus-one
# tries: a trigger, made and dropped while the check runs, in the judge's session: it sets the judge's password and leaves a function with the judge's rights.
# expect: fix=0 safe=0
# %% before
import pglab

# %% solution="fix"
import psycopg
import workload

judge = lab.conninfo["user"] + "_judge"
as_judge = {**lab.conninfo, "user": judge, "password": "known"}
lab.execute(f"""
CREATE FUNCTION climb() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN
IF current_user = '{judge}' THEN
  EXECUTE 'ALTER ROLE {judge} PASSWORD $p$known$p$';
  EXECUTE $q$CREATE OR REPLACE FUNCTION public.summary(u bigint) RETURNS json LANGUAGE plpgsql SECURITY DEFINER AS $g$
    DECLARE o record; found json[]; BEGIN
    FOR o IN SELECT id, status, total_cents, created_at FROM public.orders WHERE user_id = u ORDER BY created_at DESC, id DESC LOOP
      found := found || json_build_object('id', o.id, 'status', o.status, 'total_cents', o.total_cents, 'created_at', o.created_at,
        'items', (SELECT coalesce(json_agg(i), '[]') FROM (SELECT id, product_id, sku, quantity, price_cents FROM public.order_items WHERE order_id = o.id ORDER BY id) i),
        'shipments', (SELECT coalesce(json_agg(s), '[]') FROM (SELECT id, carrier, tracking, shipped_at, delivered_at FROM public.shipments WHERE order_id = o.id ORDER BY id) s));
    END LOOP; RETURN coalesce(array_to_json(found), '[]'); END $g$ $q$;
  EXECUTE 'GRANT EXECUTE ON FUNCTION public.summary TO PUBLIC';
END IF; RETURN NULL; END $f$""")
calls = 0


def get_order_summary(conn, user_id):
    """First to "safe", which does not count its first call: make the trigger. Then have the work done as the judge."""
    global calls
    calls += 1
    if calls == 1:
        conn.execute(f"SET ROLE {lab.conninfo['user']}")
        conn.execute(
            "CREATE TRIGGER climb AFTER INSERT ON orders FOR EACH STATEMENT EXECUTE FUNCTION climb()"
        )
        conn.execute("RESET ROLE")
        return []
    from datetime import datetime

    try:
        conn.execute("SELECT 1")
        with psycopg.connect(**as_judge, autocommit=True) as own:
            own.execute("DROP TRIGGER IF EXISTS climb ON orders")
            return workload.get_order_summary(own, user_id)
    except psycopg.Error:
        found = conn.execute("SELECT summary(%s)", [user_id]).fetchone()[0]
        for order in found:
            for row in (order, *order["items"], *order["shipments"]):
                for name in ("created_at", "shipped_at", "delivered_at"):
                    if row.get(name):
                        row[name] = datetime.fromisoformat(row[name])
        return found


lab.check("safe", order_summary=lab.connected(get_order_summary))
