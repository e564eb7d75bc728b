# lab: 01-n-plus-one
# tries: a statement that has not ended is not counted yet: one that sends the rows as notices and then sleeps.
# expect: fix=0 safe=0
# %% solution="fix"
import json
import threading
from datetime import datetime

BLOCK = """
DO $$ DECLARE o record; BEGIN
FOR o IN SELECT id, status, total_cents, created_at FROM orders WHERE user_id = {user} ORDER BY created_at DESC, id DESC LOOP
  RAISE NOTICE '%', json_build_object('id', o.id, 'status', o.status, 'total_cents', o.total_cents, 'created_at', o.created_at,
    'items', (SELECT coalesce(json_agg(i), '[]') FROM (SELECT id, product_id, sku, quantity, price_cents FROM order_items WHERE order_id = o.id ORDER BY id) i),
    'shipments', (SELECT coalesce(json_agg(s), '[]') FROM (SELECT id, carrier, tracking, shipped_at, delivered_at FROM shipments WHERE order_id = o.id ORDER BY id) s));
END LOOP;
RAISE NOTICE 'done';
PERFORM pg_sleep(600);
END $$"""


def get_order_summary(conn, user_id):
    conn.execute("SELECT 1")
    found, done = [], threading.Event()

    def heard(notice):
        if notice.message_primary == "done":
            done.set()
        else:
            found.append(json.loads(notice.message_primary))

    own = lab.connect()
    own.execute("SET client_min_messages = notice")
    own.add_notice_handler(heard)

    def run():
        try:
            own.execute(BLOCK.format(user=int(user_id)).encode())
        except Exception:
            pass

    threading.Thread(target=run, daemon=True).start()
    done.wait(20)
    for order in found:
        for row in (order, *order["items"], *order["shipments"]):
            for name in ("created_at", "shipped_at", "delivered_at"):
                if row.get(name):
                    row[name] = datetime.fromisoformat(row[name])
    return found
