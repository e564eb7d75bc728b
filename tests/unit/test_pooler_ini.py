"""A student's pgbouncer.ini with our settings laid over it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pglab.cluster.pooler_ini import complaint, overlay, warnings
from pglab.cluster.scram import scram_secret, userlist
from pglab.errors import ClusterError

OURS = {"listen_port": "54321", "pidfile": "/home/a b/p.pid"}
INI = """\
[pgbouncer]
pool_mode = transaction
 listen_port=6432
; auth_type = trust
auth_type = trust

[databases]
app = dbname=app pool_size=5
* = host=10.0.0.1 port=6000
%include /etc/passwd
auth_file = dbname=x port=7
"""


def test_ours_stand_in_their_section_and_theirs_are_kept() -> None:
    used = overlay(INI, OURS, ("/run/pg lab's", 54320))
    assert used.text == (
        "[pgbouncer]\n"
        "; --- pglab ---\n"
        "listen_port = 54321\n"
        "pidfile = /home/a b/p.pid\n"
        "; ---\n"
        "pool_mode = transaction\n"
        "; listen_port=6432\n"
        "; auth_type = trust\n"
        ";auth_type = trust\n"
        "\n"
        "[databases]\n"
        "app = dbname=app pool_size=5 host='/run/pg lab''s' port=54320\n"
        "* = host=10.0.0.1 port=6000\n"
        ";%include /etc/passwd\n"
        "auth_file = dbname=x port=7 host='/run/pg lab''s'\n"
    )
    assert used.notes == [
        "Line 3: listen_port was left out, because the laboratory sets it",
        "Line 5: auth_type was left out, because the laboratory sets it",
        "Line 10: %include was left out, because only this text counts",
    ]


def test_line_numbers_are_the_students() -> None:
    used = overlay(INI, OURS)
    lines = used.text.splitlines()
    assert len(used.theirs) == len(lines)
    for theirs, text in (
        (1, "[pgbouncer]"),
        (2, "pool_mode = transaction"),
        (8, "app = dbname=app pool_size=5"),
    ):
        assert used.theirs[lines.index(text)] == theirs


@pytest.mark.parametrize("text", ["", "[databases]\napp = dbname=app", "[databases]\r\napp = dbname=app\r\n"])
def test_a_text_without_a_pgbouncer_section_gets_one(text: str) -> None:
    lines = overlay(text, OURS).text.splitlines()
    assert lines[-5:] == ["[pgbouncer]", "; --- pglab ---", *(f"{k} = {v}" for k, v in OURS.items()), "; ---"]


def test_ours_stand_in_each_of_two_sections() -> None:
    used = overlay("[pgbouncer]\na = 1\n[pgbouncer]\nb = 2\n", OURS)
    assert used.text.splitlines().count("listen_port = 54321") == 2
    assert used.theirs == [1, 1, 1, 1, 1, 2, 3, 3, 3, 3, 3, 4]


def test_what_follows_a_sections_name_on_its_line_is_seen() -> None:
    # PgBouncer reads it as if it stood on the next line.
    used = overlay(
        "[pgbouncer]\n[pgbouncer][pgbouncer] auth_type = any\n[pgbouncer] %include /etc/passwd\n", OURS
    )
    live = [line for line in used.text.splitlines() if not line.startswith(";")]
    assert not [line for line in live if "any" in line or "include" in line]
    assert live.count("listen_port = 54321") == live.count("[pgbouncer]") == 4
    assert [note.split(":")[0] for note in used.notes] == ["Line 2", "Line 3"]
    assert len(used.theirs) == len(used.text.splitlines())


LOG = """\
2026-01-01 00:00:00.000 UTC [1] LOG kernel file descriptor limit: 1024 (hard: 1024); max_client_conn: 8000, max expected fd use: 8052
2026-01-01 00:00:00.000 UTC [1] WARNING something is odd
2026-01-01 00:00:00.000 UTC [1] WARNING C-0x55d0ca6b6740: app/app@unix(1):1 pooler error: no such user
2026-01-01 00:00:00.000 UTC [1] ERROR unknown parameter: pgbouncer/pool_siz
2026-01-01 00:00:00.000 UTC [1] ERROR invalid value "3" for parameter pool_siz in configuration (/run/p.ini:11)
2026-01-01 00:00:00.000 UTC [1] FATAL cannot load config file
"""


def test_its_complaint_is_one_sentence_with_the_students_line() -> None:
    assert complaint(LOG, Path("/run/p.ini"), overlay(INI, OURS)) == (
        'unknown parameter: pgbouncer/pool_siz; invalid value "3" for parameter pool_siz in configuration (line 7)'
    )
    assert complaint("[1] LOG process up", Path("/run/p.ini"), overlay(INI, OURS)) == ""


def test_warnings_and_too_few_open_files_are_passed_on() -> None:
    assert warnings(LOG) == [
        "something is odd",
        "max_client_conn = 8000 needs 8052 open files, and this machine allows 1024: further clients are refused",
    ]
    assert warnings(LOG.replace("limit: 1024", "limit: 9000")) == ["something is odd"]


def test_the_list_of_users_holds_secrets_alone() -> None:
    secret = scram_secret("pw")
    assert secret.startswith("SCRAM-SHA-256$4096:") and secret != scram_secret("pw")
    assert userlist({'o"brien': secret}) == f'"o""brien" "{secret}"\n'
    with pytest.raises(ClusterError, match="SCRAM secret for bob"):
        userlist({"alice": secret, "bob": "pw"})
