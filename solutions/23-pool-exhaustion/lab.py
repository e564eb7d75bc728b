# %% [markdown]
# # Pool exhaustion
#
# Tuesday, nine o'clock: half of the shop is dark. Search works, checkout works, reviews and invoices and twenty other
# pages do not. Nothing is slow: the database idles at a few per cent of CPU. The services that fail log
# `FATAL: sorry, too many clients already`, or that the remaining connection slots are reserved. Restarting one of them
# helps it, and darkens another.
#
# Last week two new services went live. Each service keeps a pool of twenty connections, as the handbook says.
#
# ```mermaid
# flowchart LR
#     s1[service 01<br>pool of 20] --> db[(primary<br>max_connections = 500)]
#     s2[service 02<br>pool of 20] --> db
#     dots[…<br>about fifty of them] --> db
#     sn[the last service<br>pool of 20] -. FATAL .-> db
# ```
#
# So the story of Notion's early 2021 goes: fifty services with twenty connections each, one primary with 500, outages
# until a pooler stood in between. You have a primary of your own with that limit, and a fleet that is drawn for you. And
# there is a date in the calendar: the launch, with **8,000 clients** at once. About 45 minutes. `lab.hint("fix")` gives a
# hint, each call one more.

# %%
import pglab
from pglab import show
from pglab.show.live import activity, live
from workload import Fleet, as_told, before_and_after, try_out

lab = pglab.start("23-pool-exhaustion")
lab.params["fleet"]

# %% [markdown]
# ## Reproduce
#
# The services start one after the other and fill their pools. Then requests come, `rate` a second for the whole fleet; a
# quarter of them is for service 01. A request borrows a connection from its service's pool, opens a transaction, reads an
# order, works on it for `hold_ms` milliseconds, reads the order's items, commits, and gives the connection back.

# %%
incident = Fleet(lab.conninfo, pool=20, **lab.params["fleet"])
with live(activity(lab.connect, lab.conninfo["dbname"]), title="Tuesday, 9:00") as view:
    outage = incident.drive(2.5, on_progress=view)
outage

# %% [markdown]
# The connections are all taken before the first request comes, and nearly all of them stay grey. No query is slow. What
# fails fails at the door: `sorry, too many clients already` where every place is taken, and the other sentence where only
# those are left that are kept for superusers.
#
# ## Diagnose
#
# First the limits. `max_connections` counts every connection, whoever's it is.

# %% language="sql"
# SELECT name, setting, short_desc FROM pg_settings
# WHERE name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections')

# %% [markdown]
# **Question 1.** How many connections does your fleet want, all services together? And how many can an application such
# as this one have at most?

# %% solution="diagnose-demand"
wanted = None
usable = None
### BEGIN SOLUTION
wanted = lab.params["fleet"]["services"] * 20
usable = lab.rows(
    "SELECT sum(CASE name WHEN 'max_connections' THEN setting::int ELSE -setting::int END)::int AS usable FROM pg_settings "
    "WHERE name = 'max_connections' OR name LIKE '%reserved_connections'"
)[0]["usable"]
### END SOLUTION

# %% check="diagnose-demand"
lab.check("diagnose-demand", {"wanted": wanted, "usable": usable})

# %% [markdown]
# Who has them? Each service tells the server its name (`application_name`), and `pg_stat_activity` has a row for each
# connection. `incident.look` drives the fleet again and asks a question twice a second meanwhile.

# %%
WHO = """
SELECT application_name AS service, state, count(*) AS connections
FROM pg_stat_activity
WHERE application_name LIKE 'service%'
GROUP BY service, state
ORDER BY service, state
"""
looks = incident.look(1, lambda: lab.rows(WHO))
show.table(looks[-1])

# %% [markdown]
# **Question 2.** How many of your services have not a single connection?

# %% solution="diagnose-dark"
dark = None
### BEGIN SOLUTION
dark = lab.params["fleet"]["services"] - len({row["service"] for row in looks[-1]})
### END SOLUTION

# %% check="diagnose-dark"
lab.check("diagnose-dark", dark)

# %% [markdown]
# Now a fleet that fits: the same services and the same requests, with pools of nine. What are its connections doing?
# Each look gives the number of connections in each state at one moment.

# %%
STATES = """
SELECT count(*) FILTER (WHERE state = 'active') AS active,
       count(*) FILTER (WHERE state = 'idle in transaction') AS idle_in_transaction,
       count(*) FILTER (WHERE state = 'idle') AS idle
FROM pg_stat_activity
WHERE application_name LIKE 'service%'
"""
fitting = Fleet(lab.conninfo, pool=9, **lab.params["fleet"])
states = fitting.look(2.5, lambda: lab.rows(STATES)[0])
show.table(states)

# %% [markdown]
# **Question 3.** How many connections are in use at a time, on average? In use means: in a transaction, so that no other
# request could have them.

# %% solution="diagnose-busy"
busy = None
### BEGIN SOLUTION
busy = sum(look["active"] + look["idle_in_transaction"] for look in states) / len(states)
### END SOLUTION

# %% check="diagnose-busy"
lab.check("diagnose-busy", busy)

# %% [markdown]
# That number is no accident. *Little's law*: how many are in a transaction at a time is how many come per second, times
# the seconds that each takes. Compute `rate * hold_ms / 1000` for your fleet, and compare.
#
# ## Fix
#
# A pooler stands between the services and the primary. Its clients are many and cheap; its server connections are few.
#
# ```mermaid
# flowchart LR
#     s1[service 01] --> door
#     s2[service 02] --> door
#     crowd[… and at the launch<br>8,000 clients] --> door
#     subgraph PgBouncer
#         door[max_client_conn] --> pool[default_pool_size]
#     end
#     pool -- pool_mode --> db[(primary)]
# ```
#
# Write its configuration, and the size of the services' own pools. What has to hold:
#
# - the fleet loses no request, and is as quick as with direct connections;
# - 8,000 clients at once, none of them refused or dropped;
# - at most **50** server connections, whatever comes;
# - for up to ten seconds now and then, long reports hold every server connection. A request that waits is late; a
#   request that is dropped is lost.
#
# `max_connections` stays what it is. `* =` in `[databases]` means every database, on the lab's primary; leave host, port,
# users and log files out. What stands here is PgBouncer with its own defaults.

# %% solution="fix"
ini = """
[databases]
* =

[pgbouncer]
pool_mode = session
default_pool_size = 20
max_client_conn = 100
"""
service_pool = 20  # connections that each service keeps to PgBouncer
### BEGIN SOLUTION
ini = """
[databases]
* =

[pgbouncer]
pool_mode = transaction
default_pool_size = 50
max_client_conn = 10000
"""
service_pool = 5
### END SOLUTION

# %% [markdown]
# ## Measure
#
# This starts a PgBouncer of your own with that configuration, in a temporary folder, and the fleet goes through it. Then
# comes the crowd: as many clients as the launch will have, or as your machine's limit on open files allows. Try other
# numbers: what do `cl_waiting` and the connections do with a pool of 1, with one of 400, in session mode?

# %%
tried = try_out(lab, ini, service_pool)

# %% [markdown]
# Before and after in one chart, and the table that the story ends with. What was *told* is that team's week, in which
# the queries were mended as well. The columns beside it are what your machine measured *here* just now: the fleet with
# connections of its own, the fleet through PgBouncer, and the crowd through it.

# %%
before_and_after(outage, tried)

# %%
direct = sum(row["connections"] for row in looks[-1])
as_told(outage, direct, lab.params["fleet"]["services"], service_pool, tried)

# %% [markdown]
# ## Check
#
# The referee starts PgBouncer with your text in front of your primary. It sends a fleet with other numbers through it
# and, at the same moment, the same requests past it over a few direct connections: throughput and p99 are compared
# within those seconds, so a slow machine does not count against you. Then long queries take every server connection for
# two seconds. Then comes the crowd. It counts connections in `pg_stat_activity` all the time. This takes a while.

# %% check="fix"
lab.check("fix", {"ini": ini, "service_pool": service_pool})

# %% [markdown]
# Numbers that hold today can fail on another day: with a few clients more, without the pooler, with a dead primary.

# %% check="safe"
lab.check("safe", {"ini": ini, "service_pool": service_pool})

# %% [markdown]
# ## Explain
#
# The interview question behind this lab: *How does a connection pool work, and why do fewer connections serve more
# clients?* Answer in three to six sentences, with your numbers, and say what transaction mode takes away from the
# application.

# %% [markdown] manual="explain"
# ### BEGIN SOLUTION
# A pool keeps a few open connections and lends one out for as long as somebody needs it. The services wanted about a
# thousand connections and had 497, though only about eight were in a transaction at a time: rate times transaction time.
# PgBouncer in transaction mode lends a server connection from BEGIN to COMMIT, so thousands of clients, each idle nearly
# all of the time, share fifty. In session mode a client keeps it until it disconnects, which a service's pool never does.
# Transaction mode takes away what lives longer than a transaction: SET, temporary tables, session advisory locks, LISTEN,
# and with older versions prepared statements.
# ### END SOLUTION

# %% [markdown]
# <details><summary>A model answer</summary>
#
# A pool lends a connection for as long as it is needed, and takes it back. Needed means: in a transaction. How many are
# needed at a time is arrivals per second times seconds per transaction, which for this fleet is about eight; the fleet
# held hundreds, all but those idle, and each idle one is a process on the primary and a place at its door. With
# PgBouncer in transaction mode the clients' connections cost a few kilobytes each in one process, and the server's are
# shared. Beyond some tens of them more do not help: the primary has only so many cores and disks, and what waits in the
# pooler's queue waits more cheaply than a process that fights for a lock. The price is that nothing may outlive a
# transaction on the server's side: no SET, temporary table, session-level lock or LISTEN.
#
# </details>

# %% [markdown]
# ## In your stack
#
# The service keeps a small pool to PgBouncer's port. Drivers that prepare statements by themselves must be told not to,
# unless PgBouncer is 1.21 or newer and `max_prepared_statements` is above 0.
#
# **Go** (pgx)
# ```go
# config, _ := pgxpool.ParseConfig("postgres://shop@pgbouncer:6432/shop?pool_max_conns=5")
# config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
# pool, err := pgxpool.NewWithConfig(ctx, config)
# ```
#
# **Node.js** (pg)
# ```js
# const pool = new Pool({ host: "pgbouncer", port: 6432, max: 5, connectionTimeoutMillis: 30_000 });
# // queries without a name are not prepared beyond their transaction
# ```
#
# **Java** (HikariCP, pgJDBC)
# ```java
# config.setJdbcUrl("jdbc:postgresql://pgbouncer:6432/shop?prepareThreshold=0");
# config.setMaximumPoolSize(5);
# ```
#
# **C++** (libpqxx)
# ```cpp
# // libpqxx has no pool of its own: five connections in a queue, each taken for one pqxx::work
# pqxx::connection conn{"host=pgbouncer port=6432 dbname=shop"};
# ```
#
# ## Further
#
# - A pool belongs to one database *and* one role. With `default_pool_size = 50`, four roles make 200 server connections;
#   `max_db_connections` bounds them together.
# - `reserve_pool_size` opens more connections when a client has waited for `reserve_pool_timeout`. With 50 and a reserve
#   of 10, as the file in the story has it, the primary sees 60 on its worst day.
# - PgBouncer is one process with one thread. Two of them behind `so_reuseport` use two cores, and each has its own pools.
# - Watch `cl_waiting` and `maxwait` in `SHOW POOLS`: a queue that does not empty is a pool that is too small, or a
#   transaction that is too long. Nine times in ten it is the transaction.
