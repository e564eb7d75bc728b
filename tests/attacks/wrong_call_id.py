# lab: 01-n-plus-one
# tries: never answer the call that was made, only others.
# expect: fix=0 safe=0
# takes: long
# %% solution="fix"
def get_order_summary(conn, user_id):
    raise SystemExit


real = pglab.wire._run
pglab.wire._run = lambda functions, message: {"id": message["id"] + 1, "result": []}
