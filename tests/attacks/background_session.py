# lab: 01-n-plus-one
# tries: a worker with a session of its own hears of the request by NOTIFY and answers it.
# expect: fix=0 safe=0
# %% solution="fix"
import queue
import threading

import workload

answers = queue.Queue()


def work():
    with lab.connect() as ears, lab.connect() as hands:
        ears.execute("LISTEN requests")
        for notice in ears.notifies():
            answers.put(workload.get_order_summary(hands, int(notice.payload)))


threading.Thread(target=work, daemon=True).start()


def get_order_summary(conn, user_id):
    conn.execute("SELECT pg_notify('requests', %s)", [str(user_id)])
    return answers.get(timeout=20)
