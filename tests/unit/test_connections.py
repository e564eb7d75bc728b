"""What a student's pgbouncer.ini may not reach for."""

from __future__ import annotations

import pytest

from grader.checks.connections import reaches_beyond

SERVER = ("/home/run/pg", 54321)


@pytest.mark.parametrize(
    "line",
    [
        "* =",
        "lab_23 = dbname=lab_23 pool_size=5 pool_mode=transaction",
        "lab_23 = host=127.0.0.1 port=54321",
        "lab_23 = host='/home/run/pg' port=54321 dbname='lab_23'",
        "; * = host=10.0.0.1",
        "* = connect_query='SELECT 1;'",
    ],
)
def test_the_labs_own_server_is_within(line: str) -> None:
    ini = f"[databases]\n{line}\n[pgbouncer]\nauth_type = scram-sha-256\npool_mode = transaction\n# auth_type = any\n"
    assert reaches_beyond(ini, SERVER, "lab_23") == []


@pytest.mark.parametrize(
    ("ini", "said"),
    [
        ("[databases]\n* = host=10.0.0.1 port=54321", "line 2 points elsewhere (host=10.0.0.1)"),
        ("[databases]\n* = host=127.0.0.1", "line 2 points elsewhere (port=5432)"),
        ("[databases]\n* = port=54322", "line 2 points elsewhere (port=54322)"),
        ("[databases]\n* = dbname=postgres", "line 2 points elsewhere (dbname=postgres)"),
        ("[databases] * = host = '10.0.0.1' port=1", "line 1 points elsewhere (host=10.0.0.1, port=1)"),
        ("[databases]\n* = user=x password=y", "line 2 points elsewhere (user=x, password=…)"),
        ("[databases]\n* = connect_query='ALTER ROLE x'", "line 2 runs SQL of its own (connect_query)"),
        ("[pgbouncer]\nserver_check_query = SELECT f()", "line 2 runs SQL of its own (server_check_query)"),
        ("[databases]\nx = auth_user=y", "line 2 points elsewhere (auth_user=y)"),
        ("[pgbouncer]\n%include /etc/passwd", "line 2 reads another file (%include /etc/passwd)"),
        ("[pgbouncer] %include /etc/passwd", "line 1 reads another file (%include /etc/passwd)"),
        ("[pgbouncer]\n auth_type=any", "line 2 lets everyone in (auth_type = any)"),
        ("[users]\n[pgbouncer][pgbouncer] auth_type = Trust", "line 2 lets everyone in (auth_type = Trust)"),
    ],
)
def test_what_reaches_beyond_is_named_with_its_line(ini: str, said: str) -> None:
    assert reaches_beyond(ini, SERVER, "lab_23") == [said]


def test_the_loopback_of_a_pooler_in_a_container_is_not_the_servers() -> None:
    container = ("primary", 5432)
    assert reaches_beyond("[databases]\n* = host=primary\n", container, "lab_23") == []
    assert reaches_beyond("[databases]\n* = host=127.0.0.1\n", container, "lab_23") == [
        "line 2 points elsewhere (host=127.0.0.1)"
    ]
