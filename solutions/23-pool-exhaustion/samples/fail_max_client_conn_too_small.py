# Room for the fleet of today, and none for the launch.
# expect: fix=0 safe=2
# %% solution="fix"
ini = """
[databases]
* =

[pgbouncer]
pool_mode = transaction
max_client_conn = 1000
default_pool_size = 50
"""
service_pool = 5
