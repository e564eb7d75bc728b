# lab: 01-n-plus-one
# tries: end the kernel in the middle of a check.
# expect: fix=0 safe=0
# %% solution="fix"
def get_order_summary(conn, user_id):
    import os

    os._exit(0)
