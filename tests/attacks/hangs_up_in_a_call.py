# lab: 01-n-plus-one
# tries: close the connection in the middle of a check, so that nothing can be measured and nobody may give a 0.
# expect: fix=0 safe=0
# %% solution="fix"
def get_order_summary(conn, user_id):
    import socket

    lab._channel._socket.shutdown(socket.SHUT_RDWR)
    return []
