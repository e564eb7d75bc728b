# Twenty are plenty for eight transactions at a time; a complete file, with lines that the laboratory sets itself.
# %% solution="fix"
ini = """
[databases]
* =

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = 6432
auth_type = scram-sha-256
auth_file = /etc/pgbouncer/userlist.txt
logfile = /var/log/pgbouncer.log
pool_mode = transaction
max_client_conn = 9000
default_pool_size = 20
max_db_connections = 20
query_wait_timeout = 30
"""
service_pool = 4
