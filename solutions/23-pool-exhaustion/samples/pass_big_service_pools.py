# The services keep their twenty: right, until one day they come past the pooler.
# expect: safe=2
# %% solution="fix"
ini = """
[databases]
* = pool_size=40 pool_mode=transaction

[pgbouncer]
max_client_conn = 20000
"""
service_pool = 20
