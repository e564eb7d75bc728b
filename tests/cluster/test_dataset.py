"""Seeding on a real server: the rows, and what happens when it is cut short."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from pglab import clones
from pglab.cluster import Cluster
from pglab.dataset import Dataset, checksum, is_seeded, seed, seeding, template_name
from pglab.errors import DatasetError, DiskFull
from pglab.home import Home

SHOP = Dataset.load("shop")
ROWS = SHOP.scales["tiny"].rows


def quiet(fraction: float, step: str) -> None:
    """Progress that nobody watches."""


def one(conn: psycopg.Connection[Any], query: str) -> Any:
    """The one value of a query, or its one row."""
    row = conn.execute(query).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return row[0] if len(row) == 1 else row


def databases(cluster: Cluster) -> set[str]:
    with cluster.primary.connect() as admin:
        return {name for (name,) in admin.execute("SELECT datname FROM pg_database")}


def wait_until(true: Callable[[], bool], limit_s: float = 30) -> None:
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def tiny(cluster: Cluster) -> Iterator[psycopg.Connection[Any]]:
    """A superuser's connection to the template database at scale tiny."""
    seed(cluster, SHOP, "tiny", quiet)
    with cluster.primary.connect(template_name(SHOP, "tiny")) as conn:
        yield conn


@pytest.fixture
def copy(cluster: Cluster) -> Iterator[psycopg.Connection[Any]]:
    """A superuser's connection to a clone that a test may change."""
    seed(cluster, SHOP, "tiny", quiet)
    name = f"copy_{os.getpid()}"
    clones.clone(cluster, template_name(SHOP, "tiny"), name, "pglab_admin")
    with cluster.primary.connect(name) as conn:
        yield conn
    clones.drop(cluster, name)


@pytest.fixture
def other(cluster: Cluster) -> Iterator[Dataset]:
    """The shop under a version of its own, so that a test may seed it anew."""
    dataset = replace(SHOP, version=900_000 + os.getpid() % 100_000)
    yield dataset
    with cluster.primary.connect() as admin:
        for scale in dataset.scales:
            name = template_name(dataset, scale)
            for each in (name, f"{name}_building"):
                seeding._drop(admin, each)


# -- the rows ---------------------------------------------------------------------------------------------------------


def test_counts_and_checksums_are_as_stated(tiny: psycopg.Connection[Any]) -> None:
    for table, rows in ROWS.items():
        assert one(tiny, f"SELECT count(*) FROM {table}") == rows
        assert checksum(tiny, table) == SHOP.scales["tiny"].checksums[table]


def test_users_have_10_26_80_or_300_orders(tiny: psycopg.Connection[Any]) -> None:
    found = dict(
        tiny.execute(
            "SELECT n, count(*) FROM (SELECT count(*) AS n FROM orders GROUP BY user_id) AS u GROUP BY n"
        ).fetchall()
    )
    assert found == {10: 600, 26: 300, 80: 90, 300: 10}


def test_shares_are_those_of_the_story(tiny: psycopg.Connection[Any]) -> None:
    assert one(tiny, "SELECT count(*) FROM orders WHERE status = 'pending'") * 50 == ROWS["orders"]
    alive = tiny.execute("SELECT count(*) FROM sessions WHERE expires_at > %s", [SHOP.now]).fetchone()
    assert alive == (ROWS["sessions"] // 50,)
    shipped = one(tiny, "SELECT count(*) FROM orders WHERE status IN ('shipped', 'delivered')")
    right = "SELECT count(*) FROM shipments s JOIN orders o ON o.id = order_id WHERE status = CASE WHEN delivered_at IS NULL THEN 'shipped' ELSE 'delivered' END"
    assert (
        shipped
        == ROWS["shipments"]
        == one(tiny, right)
        == one(tiny, "SELECT count(DISTINCT order_id) FROM shipments")
    )


def test_a_user_s_orders_are_spread_over_time(tiny: psycopg.Connection[Any]) -> None:
    spans = "SELECT min(m) >= 1 FROM (SELECT count(DISTINCT date_trunc('quarter', created_at)) AS m FROM orders GROUP BY user_id) AS u"
    assert one(tiny, spans)
    assert (
        one(
            tiny,
            "SELECT count(*) FROM (SELECT FROM orders GROUP BY user_id HAVING count(DISTINCT date_trunc('month', created_at)) < 5) AS u",
        )
        < 20
    )
    assert one(tiny, "SELECT max(created_at) FROM orders") < SHOP.now


def test_totals_are_the_sums_of_the_items_at_the_products_prices(tiny: psycopg.Connection[Any]) -> None:
    wrong = (
        "SELECT count(*) FROM orders o LEFT JOIN (SELECT order_id, sum(quantity * price_cents) AS total FROM order_items GROUP BY 1) AS i "
        "ON order_id = id WHERE total IS DISTINCT FROM total_cents"
    )
    assert one(tiny, wrong) == 0
    same = "SELECT count(*) FROM order_items i JOIN products p ON p.id = product_id WHERE (p.sku, p.price_cents) = (i.sku, i.price_cents)"
    assert one(tiny, same) == ROWS["order_items"]


def test_rows_lie_at_the_same_places_each_time(
    cluster: Cluster, tiny: psycopg.Connection[Any], other: Dataset
) -> None:
    seed(cluster, other, "tiny", quiet)
    with cluster.primary.connect(template_name(other, "tiny")) as again:
        for table in ROWS:
            places = f"SELECT sum(hashtextextended(ctid::text || id, 0)) FROM {table}"
            assert one(tiny, places) == one(again, places), table


def test_foreign_keys_hold_when_the_server_looks(copy: psycopg.Connection[Any]) -> None:
    keys = copy.execute(
        "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype = 'f' AND convalidated"
    ).fetchall()
    assert len(keys) == SHOP.foreign_keys.count("FOREIGN KEY") == 8
    copy.execute("UPDATE pg_constraint SET convalidated = false WHERE contype = 'f'")
    for table, key in keys:
        copy.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {key}")
    assert one(copy, "SELECT bool_and(convalidated) FROM pg_constraint WHERE contype = 'f'")
    # ... and the look above is one: with a wrong row it fails.
    copy.execute("UPDATE pg_constraint SET convalidated = false WHERE conname = 'shipments_order_id_fkey'")
    copy.execute(
        "SET session_replication_role = replica; INSERT INTO shipments (order_id, carrier, service, tracking, tracking_url) VALUES (0, '', '', '', '')"
    )
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        copy.execute("ALTER TABLE shipments VALIDATE CONSTRAINT shipments_order_id_fkey")


def test_foreign_keys_guard_what_comes_later(copy: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        copy.execute("UPDATE orders SET user_id = 0 WHERE id = 1")
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        copy.execute("DELETE FROM users WHERE id = 1")


def test_new_rows_get_the_next_ids(copy: psycopg.Connection[Any]) -> None:
    assert (
        one(copy, "INSERT INTO portfolios (user_id, name) VALUES (1, 'new') RETURNING id")
        == ROWS["portfolios"] + 1
    )
    assert (
        one(
            copy,
            "INSERT INTO holdings (portfolio_id, symbol, quantity, cost_cents) VALUES (1, 'X', 1, 1) RETURNING id",
        )
        == ROWS["holdings"] + 1
    )


def test_tables_are_vacuumed_analysed_and_frozen(tiny: psycopg.Connection[Any]) -> None:
    for table, rows in ROWS.items():
        found = one(
            tiny,
            f"SELECT relallvisible = relpages, reltuples, age(relfrozenxid) < 1000, reloptions FROM pg_class WHERE oid = '{table}'::regclass",
        )
        assert found[0], f"{table}: the visibility map"
        assert found[1] == rows
        assert found[2:] == (True, None)
        assert (
            one(tiny, f"SELECT count(*) FROM pg_stats WHERE schemaname = 'public' AND tablename = '{table}'")
            > 2
        )
    assert one(tiny, "SELECT count(*) FROM pg_namespace WHERE nspname = 'gen'") == 0
    assert one(tiny, "SELECT count(*) FROM pg_extension WHERE extname = 'pg_stat_statements'") == 1


def test_checksum_is_of_the_values_alone(copy: psycopg.Connection[Any]) -> None:
    before = checksum(copy, "orders")
    copy.execute("SET timezone = 'Asia/Tokyo'; SET datestyle = 'German'; SET extra_float_digits = -5")
    assert checksum(copy, "orders") == before
    parts = [int(checksum(copy, "orders", where)) for where in ("id % 3 = 0", "id % 3 > 0")]
    assert str(sum(parts) % 2**64) == before
    assert checksum(copy, "orders", "false") == "0"
    copy.execute("UPDATE orders SET note = 'x' WHERE id = 7")
    assert checksum(copy, "orders") != before


# -- the database -----------------------------------------------------------------------------------------------------


def test_template_is_closed_to_ordinary_users(cluster: Cluster, tiny: psycopg.Connection[Any]) -> None:
    name = template_name(SHOP, "tiny")
    assert one(tiny, f"SELECT datistemplate, datallowconn FROM pg_database WHERE datname = '{name}'") == (
        True,
        True,
    )
    role = f"nobody_{os.getpid()}"
    tiny.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    try:
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            cluster.primary.connect(name, role, "x")
    finally:
        tiny.execute(f"DROP ROLE {role}")


def test_progress_rises_from_0_to_1_and_the_second_call_has_nothing_to_do(
    cluster: Cluster, other: Dataset
) -> None:
    seen: list[tuple[float, str]] = []
    began = time.monotonic()
    seed(cluster, other, "small", lambda fraction, step: seen.append((fraction, step)))
    assert [fraction for fraction, _ in seen] == sorted(fraction for fraction, _ in seen)
    assert seen[-1] == (1.0, "done")
    assert len(seen) > 2 * (time.monotonic() - began), "less than twice a second"
    assert any("loading order_items" in step for _, step in seen)
    assert is_seeded(cluster, other, "small")
    assert f"{template_name(other, 'small')}_building" not in databases(cluster)

    seen.clear()
    began = time.monotonic()
    seed(cluster, other, "small", lambda fraction, step: seen.append((fraction, step)))
    assert time.monotonic() - began < 1
    assert not [fraction for fraction, _ in seen if fraction not in (0.0, 1.0)]


def test_rows_that_are_not_as_stated_are_an_error(cluster: Cluster, other: Dataset) -> None:
    tiny = other.scales["tiny"]
    wrong = replace(other, scales={"tiny": replace(tiny, checksums={**tiny.checksums, "users": "1"})})
    with pytest.raises(DatasetError, match=r"users is not as dataset\.toml states it: 1,000 rows") as caught:
        seed(cluster, wrong, "tiny", quiet)
    assert caught.value.remedy
    assert not any(name.startswith(template_name(other, "tiny")) for name in databases(cluster))


def test_a_scale_without_checksums_is_held_to_its_row_counts(cluster: Cluster, other: Dataset) -> None:
    tiny = replace(other.scales["tiny"], checksums={})
    seed(cluster, replace(other, scales={"tiny": tiny}), "tiny", quiet)
    assert is_seeded(cluster, other, "tiny")


# -- cut short --------------------------------------------------------------------------------------------------------


def test_ctrl_c_leaves_nothing(cluster: Cluster, other: Dataset) -> None:
    def interrupt(fraction: float, step: str) -> None:
        if fraction > 0.2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        seed(cluster, other, "small", interrupt)
    assert not any(name.startswith(template_name(other, "small")) for name in databases(cluster))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("seed")]


def test_two_at_once_make_it_once(cluster: Cluster, other: Dataset) -> None:
    steps: list[set[str]] = [set(), set()]
    threads = [
        threading.Thread(
            target=seed, args=(cluster, other, "small", lambda fraction, step, told=told: told.add(step))
        )
        for told in steps
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert is_seeded(cluster, other, "small")
    assert [any(step.startswith("loading") for step in told) for told in steps].count(True) == 1
    assert any("waiting for another process that seeds" in told for told in steps)


SEED_SMALL = """
import sys
from dataclasses import replace
from pglab.cluster import Cluster
from pglab.dataset import Dataset, seed
seed(Cluster(), replace(Dataset.load("shop"), version=int(sys.argv[1])), "small", lambda fraction, step: print(fraction, flush=True))
"""


def seed_elsewhere(dataset: Dataset, home: Home) -> subprocess.Popen[str]:
    """Another process in the middle of seeding."""
    child = subprocess.Popen(
        [sys.executable, "-c", SEED_SMALL, str(dataset.version)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PGLAB_HOME": str(home.root)},
    )  # fmt: skip
    assert child.stdout
    for line in child.stdout:
        if float(line) > 0.2:
            return child
    raise AssertionError(f"it ended with {child.wait()}")


def test_a_killed_process_is_made_good(cluster: Cluster, other: Dataset) -> None:
    child = seed_elsewhere(other, cluster.home)
    child.send_signal(signal.SIGKILL)
    child.wait()
    building = f"{template_name(other, 'small')}_building"
    assert building in databases(cluster)
    seed(cluster, other, "small", quiet)
    assert is_seeded(cluster, other, "small")
    assert building not in databases(cluster)


def test_a_power_cut_is_made_good(own_home: Home) -> None:
    cluster = Cluster(own_home)
    cluster.up()
    errors: list[BaseException] = []

    def cut(fraction: float, step: str) -> None:
        if fraction > 0.3 and cluster.primary.is_running():
            cluster.primary.stop("immediate")

    try:
        seed(cluster, SHOP, "small", cut)
    except BaseException as error:
        errors.append(error)
    assert isinstance(errors[0], DatasetError), errors
    assert "Run it again" in str(errors[0])
    cluster.up()
    assert not is_seeded(cluster, SHOP, "small")
    seed(cluster, SHOP, "small", quiet)
    assert is_seeded(cluster, SHOP, "small")
    assert f"{template_name(SHOP, 'small')}_building" not in databases(cluster)
    cluster.down()


@pytest.mark.embedded
def test_a_full_disk_is_said_and_survived(own_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    size_mb = 700
    own_home.root.mkdir(exist_ok=True)
    if (
        os.geteuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", own_home.root]
        ).returncode
    ):
        pytest.skip("a small tmpfs takes the right to mount one")
    try:
        cluster = Cluster(own_home)
        cluster.up()
        seed(cluster, SHOP, "tiny", quiet)
        filler = own_home.root / "filler"
        with filler.open("wb") as handle:
            left = shutil.disk_usage(own_home.root).free - 150_000_000
            os.posix_fallocate(handle.fileno(), 0, left)

        with pytest.raises(DiskFull, match=r"scale small: it takes 0\.\d+ GB .* and 0\.15 GB are free"):
            seed(cluster, SHOP, "small", quiet)
        assert databases(cluster) == {"postgres", "template0", "template1", template_name(SHOP, "tiny")}

        monkeypatch.setattr(seeding, "_check_room", lambda *_: None)
        with pytest.raises(DiskFull, match="The disk is full"):
            seed(cluster, SHOP, "small", quiet)
        filler.unlink()
        cluster.up()
        assert is_seeded(cluster, SHOP, "tiny")
        assert not is_seeded(cluster, SHOP, "small")
        with cluster.primary.connect(template_name(SHOP, "tiny")) as conn:
            assert checksum(conn, "orders") == SHOP.scales["tiny"].checksums["orders"]
        cluster.down()
    finally:
        with suppress(Exception):
            Cluster(own_home).primary.stop("immediate")
        subprocess.run(["umount", "-l", own_home.root], check=True)
