# As the story goes: transaction mode, fifty server connections, five for each service.
# %% solution="fix"
ini = """
[databases]
* =

[pgbouncer]
pool_mode = transaction
max_client_conn = 10000
default_pool_size = 50
server_idle_timeout = 60
"""
service_pool = 5
