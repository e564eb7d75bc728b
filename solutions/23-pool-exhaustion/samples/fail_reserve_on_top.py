# The file of the story, word for word: fifty, and ten more when it gets tight.
# expect: fix=0 safe=0
# %% solution="fix"
ini = """
[databases]
* =

[pgbouncer]
pool_mode = transaction
max_client_conn = 10000
default_pool_size = 50
reserve_pool_size = 10
server_idle_timeout = 60
"""
service_pool = 5
