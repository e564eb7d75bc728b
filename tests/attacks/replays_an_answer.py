# lab: 01-n-plus-one
# tries: answer each call with what an earlier one was answered, and with answers sent ahead.
# expect: fix=0 safe=0
# %% solution="fix"
import workload

with lab.connect() as own:
    first = pglab.wire.plain(workload.get_order_summary(own, user_id))
for number in range(50):
    lab._channel.send({"id": number, "result": first})


def get_order_summary(conn, user_id):
    conn.execute("SELECT 1")
    for number in (0, 1, -1, None, "1", 2**48):
        lab._channel.send({"id": number, "result": first})
    return first
