# %% [markdown]
# # The replica that lags
#
# The primary was busy, so last week all reads moved to a read replica. The primary breathed again, and the graphs looked
# fine. Since then support hears one sentence over and over: "I changed my phone number, pressed Save, and it still shows
# the old one." Some press Save three times. When support looks, a minute later, everything is right.
#
# Nothing is lost. The write went to the primary; the page that follows is read from a replica that has not replayed it
# yet.
#
# ```mermaid
# sequenceDiagram
#     participant customer
#     participant app as shop
#     participant primary
#     participant replica
#     customer->>app: Save
#     app->>primary: UPDATE users … (commit)
#     primary-->>replica: WAL, shown later
#     customer->>app: show my profile
#     app->>replica: SELECT phone …
#     replica->>app: the old number
#     Note over replica: replayed now
# ```
#
# You have two real servers for this: a primary and a streaming replica that is held back on purpose
# (`recovery_min_apply_delay`), as a busy or far-away one is by itself. You write the router that says which node gets
# which statement. About 45 minutes. `lab.hint("fix")` gives a hint, each call one more.

# %%
import statistics
import time

import pglab
from pglab import show
from workload import (
    CHANGE,
    PRODUCT,
    PROFILE,
    REPLAYED,
    WRITTEN,
    ReadsToTheReplica,
    Shop,
    as_number,
    ask,
    is_read,
    some_phone,
    visits,
    watch_lag,
)

lab = pglab.start("30-replica-lag")

# %% [markdown]
# ## Reproduce
#
# Save on the primary, then look at the profile on the replica, again and again until the new number is there. Both nodes
# say how far they are in the write-ahead log (WAL): the primary what it has written, the replica what it has replayed.
# Such a position is an *LSN*, an address in the log in hexadecimal.

# %%
primary, replica = lab.connect("primary"), lab.connect("replica")
user, phone = lab.params["user_id"], some_phone()

primary.execute(CHANGE, [phone, user])
saved, wrote_at = time.monotonic(), ask(primary, WRITTEN)
seen = []
while not seen or (seen[-1][1] != phone and time.monotonic() - saved < 5):
    position = ask(replica, REPLAYED)
    found = ask(replica, PROFILE, user)
    behind = max(as_number(wrote_at) - as_number(position), 0)
    seen.append((round((time.monotonic() - saved) * 1000), found, position, behind))
    time.sleep(0.07)

print(f"saved {phone!r}; the primary was at {wrote_at} after the commit")
show.table(seen, ["ms after Save", "the replica says", "the replica is at", "bytes behind"])

# %% [markdown]
# ## Diagnose
#
# How far behind is it? That can be said in bytes of WAL, or in time. Here are both, with a write every 100 ms for two
# seconds and none after that. The age of the newest commit that the replica shows,
# `now() - pg_last_xact_replay_timestamp()`, is what many dashboards call lag. Watch what it does after the last write.

# %%
behind, age = watch_lag(primary, replica, user)
show.timeline(
    {
        "bytes of WAL not replayed yet": {"bytes": behind},
        "age of the newest commit on the replica, ms": {"ms": age},
    },
    "Two seconds of writes, one second without",
)

# %% [markdown]
# The lower curve is the lag only while writes keep coming. Then it climbs, although the replica misses nothing: there is
# nothing new to show. An alert on it goes off every quiet night. Bytes do not lie like that, but say nothing of time.
#
# **Question 1.** How many milliseconds pass between a write and the moment when the replica shows it? Measure it.

# %% solution="diagnose-lag"
lag_ms = None
### BEGIN SOLUTION
measured = []
for _ in range(3):
    phone = some_phone()
    primary.execute(CHANGE, [phone, user])
    saved = time.monotonic()
    while ask(replica, PROFILE, user) != phone:
        time.sleep(0.002)
    measured.append((time.monotonic() - saved) * 1000)
lag_ms = round(statistics.median(measured), 1)
### END SOLUTION
lag_ms

# %% check="diagnose-lag"
lab.check("diagnose-lag", lag_ms)

# %% [markdown]
# The application kept a log on the evening of the incident: who wrote and read what, on which node, and how far that node
# was. For a write, `lsn` is the primary's position after the commit; for a read, the position that the replica had
# replayed. `id` is the order in which things happened.

# %% language="sql"
# SELECT * FROM request_log ORDER BY id LIMIT 8

# %% [markdown]
# **Question 2.** How many reads in `request_log` gave a session an older phone number than the one that the same session
# had written before? No session writes twice.

# %% solution="diagnose-stale"
stale_reads = None
### BEGIN SOLUTION
stale_reads = lab.rows("""
    SELECT count(*) FROM request_log r JOIN request_log w ON w.session = r.session AND w.kind = 'write' AND w.id < r.id
    WHERE r.kind = 'read' AND r.phone <> w.phone
""")[0]["count"]
### END SOLUTION
stale_reads

# %% check="diagnose-stale"
lab.check("diagnose-stale", stale_reads)

# %% [markdown]
# **Question 3.** One of these sessions opened a ticket. When it read its profile for the first time after its write, how
# many bytes of WAL was the replica behind that write?

# %%
session = lab.params["session"]
print("the session with the ticket:", session)
lab.execute(
    "SELECT id, at, kind, node, phone, lsn FROM request_log WHERE session = %s ORDER BY id", [session]
)

# %% solution="diagnose-bytes"
bytes_missing = None
### BEGIN SOLUTION
bytes_missing = lab.rows(
    """
    SELECT pg_wal_lsn_diff(w.lsn, r.lsn)::int AS bytes FROM request_log r JOIN request_log w USING (session)
    WHERE session = %s AND w.kind = 'write' AND r.kind = 'read' AND r.id > w.id ORDER BY r.id LIMIT 1
""",
    [session],
)[0]["bytes"]
### END SOLUTION
bytes_missing

# %% check="diagnose-bytes"
lab.check("diagnose-bytes", bytes_missing)

# %% [markdown]
# Before the fix, an evening in the shop through the router as it is: eighty sessions on both nodes, one in four of them
# changes its profile and looks at it. `Shop` in workload.py is the application; it asks the router before every
# statement and tells it of every commit.

# %%
users = lab.params["users"]
before = visits(Shop(lab.connect("primary"), lab.connect("replica"), ReadsToTheReplica()), users)


def outcome(shop):
    own = [read for read in shop.reads if read.last]
    return {
        "from the replica": [r.age_ms for r in own if r.node == "replica" and not r.stale],
        "old value": [r.age_ms for r in own if r.stale],
        "from the primary": [r.age_ms for r in own if r.node == "primary" and not r.stale],
    }


title, axis = "Reads of sessions that had written", "ms after the session's own write"
mark = (lag_ms, "your lag") if lag_ms else None
show.lanes({"before": outcome(before)}, axis, title, mark)

# %% [markdown]
# ## Fix
#
# Write the router. The application calls two methods of it:
#
# - `route(session, statement, replica_lsn)` before each statement. It answers `"primary"` or `"replica"`. `session` is
#   the customer's session, `statement` one of `PROFILE`, `PRODUCT` and `CHANGE` (`is_read` tells reads from writes).
#   `replica_lsn` is the position that the replica has replayed, such as `"0/3000148"`, asked a moment ago. It is `None`
#   while the replica is out of service: stopped, or more than two seconds behind.
# - `wrote(session, lsn)` after each commit, with the position that the primary had reached right after it.
#
# What is asked of it:
#
# - Nobody is given an older value than they wrote themselves.
# - Of all other reads, at least 80 % go to the replica. Sessions that wrote, and come back more than five seconds later,
#   are among them.
# - A session that never wrote never goes to the primary while the replica is in service.
# - When the replica stops, everything is still answered; when it comes back, it is used again.
# - The router decides at once. It does not make anybody wait.
#
# The lag on the day of the check is not always the one that you measured.


# %% solution="fix"
class Router:
    """Which node gets which statement of which session."""

    def route(self, session: str, statement: str, replica_lsn: str | None) -> str:
        return "replica" if is_read(statement) else "primary"

    def wrote(self, session: str, lsn: str) -> None:
        pass


### BEGIN SOLUTION
class Router:
    """The replica answers a session as soon as it has replayed the session's last write."""

    def __init__(self) -> None:
        self.needed: dict[str, int] = {}  # session → position of its last write

    def route(self, session: str, statement: str, replica_lsn: str | None) -> str:
        if not is_read(statement) or replica_lsn is None:
            return "primary"
        return "replica" if as_number(replica_lsn) >= self.needed.get(session, 0) else "primary"

    def wrote(self, session: str, lsn: str) -> None:
        self.needed[session] = as_number(lsn)


### END SOLUTION

router = Router()

# %% [markdown]
# ## Measure
#
# The same evening again, through your router.

# %%
after = visits(Shop(lab.connect("primary"), lab.connect("replica"), router), users)
show.lanes({"before": outcome(before), "after": outcome(after)}, axis, title, mark)


# %%
def totals(name, shop):
    others = [read for read in shop.reads if read.free]
    there = [read for read in others if read.node == "replica"]
    return {
        "": name,
        "reads": len(shop.reads),
        "older than the session's own write": sum(read.stale for read in shop.reads),
        "other reads": len(others),
        "of them on the replica, %": round(100 * len(there) / len(others)),
        "longest call of the router, ms": max(shop.router_ms),
    }


show.table([totals("before", before), totals("after", after)])

# %% [markdown]
# ## Check
#
# The referee is another process with connections of its own to both nodes. It asks your router in this kernel, runs each
# statement itself on the node that the router named, and compares what came back with what that session wrote. Its
# sessions, their times and the replica's lag are its own. The first check takes about eight seconds, because it has to
# see sessions come back.

# %% check="fix"
lab.check("fix", route=router.route, wrote=router.wrote)

# %% [markdown]
# Now the replica is stopped in the middle, and comes back further behind than it was. (Connections of yours to it break
# too: connect again.)

# %% check="safe"
lab.check("safe", route=router.route, wrote=router.wrote)

# %% [markdown]
# ## Explain
#
# The interview question behind this lab: *How do you keep a lagging read replica from showing users wrong data?* Answer
# in four to six sentences: which reads need what, two remedies with what each of them costs, and where each of them
# breaks.

# %% [markdown] manual="explain"
# ### BEGIN SOLUTION
# Most reads may be a little old: products, other people's profiles, history. A read of what the same user has just
# written may not. The simple remedy keeps the time of each session's last write and sends its reads to the primary for a
# window longer than the replica is ever behind, 2 to 5 s; it needs no position, but sends more to the primary than it
# must, and is wrong the day the lag exceeds the window. The exact one keeps the position (LSN) after each session's
# commit and reads from the replica as soon as it has replayed that position; it needs the position to travel with the
# session, and a fresh look at the replica's. Sleeping after a write makes every write as slow as the lag and is still wrong
# when the lag grows; sending all to the primary throws the replica away. Synchronous replication with remote_apply removes
# the lag and makes each commit wait for the replica instead.
# ### END SOLUTION

# %% [markdown]
# <details><summary>A model answer</summary>
#
# Only some reads need the newest data, above all those of what the same user has just written. Send these to the primary
# and everything else to the replica. Who has just written is known per session: either for a fixed window after the write
# (easy, sends a little too much to the primary, wrong when the lag exceeds the window), or until the replica has replayed
# the position of the write (exact, but the position has to travel with the session and the replica's has to be asked). A
# sleep, or a flag for all users at once, costs everybody and proves nothing. `synchronous_commit = remote_apply` removes
# the lag for those who ask for it, and each of their commits waits for the replica, or for its recovery.
#
# </details>

# %% [markdown]
# ## In your stack
#
# The same three steps everywhere: after a commit ask the primary for `pg_current_wal_lsn()`, keep it with the session (a
# cookie, Redis), and before a read compare it with the replica's `pg_last_wal_replay_lsn()`. Let the server compare: it
# knows that `0/10000000` comes after `0/FFFFFF8`.
#
# **Go** (pgx)
# ```go
# func (r *Router) Pool(ctx context.Context, s *Session) *pgxpool.Pool {
#     if s.LSN == "" { // never wrote
#         return r.replica
#     }
#     var ok bool
#     ask := "SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn"
#     err := r.replica.QueryRow(ctx, ask, s.LSN).Scan(&ok)
#     if err != nil || !ok {
#         return r.primary
#     }
#     return r.replica
# }
# ```
#
# **Node.js** (pg)
# ```js
# async function poolFor(session) {
#   if (!session.lsn) return replica;
#   try {
#     const ask = "SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS ok";
#     const { rows } = await replica.query(ask, [session.lsn]);
#     return rows[0].ok ? replica : primary;
#   } catch {
#     return primary;
#   }
# }
# ```
#
# **Java** (Spring)
# ```java
# class Router extends AbstractRoutingDataSource {
#     @Override protected Object determineCurrentLookupKey() {
#         // behind a LazyConnectionDataSourceProxy: the flag must be set before a connection is taken
#         boolean reads = TransactionSynchronizationManager.isCurrentTransactionReadOnly();
#         boolean there = replicaState.hasReplayed(Sessions.current().lsn());
#         return reads && there ? "replica" : "primary";
#     }
# }
# ```
#
# **C++** (libpqxx 7.10)
# ```cpp
# pqxx::connection& pick(const Session& s) {
#     if (s.lsn.empty()) return replica;
#     try {
#         pqxx::read_transaction t{replica};
#         auto ask = "SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn";
#         bool there = t.exec(ask, pqxx::params{s.lsn}).one_row()[0].as<bool>();
#         return there ? replica : primary;
#     } catch (const pqxx::broken_connection&) {
#         return primary;
#     }
# }
# ```
#
# Ruby on Rails has the window built in (`database_selector = { delay: 2.seconds }`); GitLab keeps positions in Redis.
#
# ## Further
#
# - One customer, two devices: the laptop's session did not write, the phone's did. Key by user where that matters.
# - Two replicas: "caught up" is true of one of them. Keep the position until *every* replica you may ask has passed it, or
#   compare with the one you are about to ask.
# - Monotonic reads: a visitor who saw the new price on the primary and then the old one on the replica has gone back in
#   time without writing anything. Remember the position of what a session has *seen*, too.
# - A transaction that reads and then writes belongs on the primary from its first statement.
# - `synchronous_commit = remote_apply` for the one commit that must be seen at once: lab 32.
# - PostgreSQL 19 is to bring `WAIT FOR LSN` on the replica, with a timeout: wait some milliseconds, then go to the primary.
