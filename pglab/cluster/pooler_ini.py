"""A student's pgbouncer.ini with the laboratory's settings laid over it, and what PgBouncer says about it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

# Where it listens, who gets in and where it writes is the laboratory's; pools, databases, limits and timeouts are theirs.
OURS = frozenset(
    "listen_addr listen_port unix_socket_dir unix_socket_mode unix_socket_group user auth_type auth_file auth_hba_file "
    "auth_ident_file auth_query auth_user auth_dbname logfile pidfile syslog admin_users stats_users "
    "so_reuseport service_name job_name pkt_buf "
    "client_tls_sslmode client_tls_key_file client_tls_cert_file client_tls_ca_file".split()
)
_SECTION = re.compile(r"\s*\[([^\]]*)\]\s*$")
_SECTION_AND_MORE = re.compile(r"(\s*\[[^\]]*\])\s*(\S.*)$")
_SETTING = re.compile(r"\s*([A-Za-z0-9_.*-]+|\"[^\"]*\")\s*=\s*(.*?)\s*$")
_SAID = re.compile(
    r"\[\d+\] (ERROR|FATAL|WARNING) (?![CS]-0x)(.*)"
)  # what it says of clients and servers aside
_TOLD_NOTHING = ("cannot load config file", "fill_defaults fail")


class Overlaid(NamedTuple):
    """A configuration to use."""

    text: str
    notes: list[str]  # a sentence on each of the student's lines that was left out
    theirs: list[int]  # the number of the student's line that each line of the text is, or stands behind


def overlay(text: str, ours: Mapping[str, str], backend: tuple[str, int] | None = None) -> Overlaid:
    """Lay our settings over a student's text.

    Args:
        text: pgbouncer.ini as the student wrote it.
        ours: the laboratory's [pgbouncer] settings.
        backend: host and port for each of [databases] that names no host, as PgBouncer itself takes the local server.
    """
    laid_out: list[tuple[int, str]] = []
    notes: list[str] = []
    section, laid = "", False
    # Each section of that name starts from PgBouncer's defaults, so ours stand in each, and first: when a line of theirs
    # is wrong, it keeps what it read before.
    mine = ["; --- pglab ---", *(f"{name} = {value}" for name, value in ours.items()), "; ---"]
    for number, line in lines(text):
        began, setting = _SECTION.match(line), _SETTING.match(line)
        if began:
            section = began[1].strip()
        elif line.lstrip().startswith("%include"):
            notes.append(f"Line {number}: %include was left out, because only this text counts")
            line = f";{line}"
        elif section == "pgbouncer" and setting and setting[1] in OURS:
            notes.append(f"Line {number}: {setting[1]} was left out, because the laboratory sets it")
            line = f";{line}"
        elif section == "databases" and setting and backend and not re.search(r"\bhost\s*=", setting[2]):
            port = "" if re.search(r"\bport\s*=", setting[2]) else f" port={backend[1]}"
            line += f" host={_quoted(backend[0])}{port}"
        laid_out.append((number, line))
        if began and section == "pgbouncer":
            laid_out += [(number, own) for own in mine]
            laid = True
    if not laid:
        laid_out += [(len(laid_out), own) for own in ["[pgbouncer]", *mine]]
    return Overlaid("".join(f"{line}\n" for _, line in laid_out), notes, [number for number, _ in laid_out])


def lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines with their numbers. What follows a section's name on its line, which PgBouncer reads too, is a line more."""
    for number, line in enumerate(text.splitlines(), 1):
        while (found := _SECTION_AND_MORE.match(line)) is not None:
            yield number, found[1]
            line = found[2]
        yield number, line


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def complaint(log: str, ini: Path, used: Overlaid) -> str:
    """PgBouncer's own words on why it did not take a configuration; "" when it said nothing of the kind.

    Args:
        log: what it said since; ini: the file that it names; used: what stands there.
    """
    said = [found[2] for found in map(_SAID.search, log.splitlines()) if found and found[1] != "WARNING"]
    telling = [words for words in said if words not in _TOLD_NOTHING]
    place = re.compile(re.escape(str(ini)) + r":(\d+)")

    def line(at: re.Match[str]) -> str:
        return f"line {used.theirs[min(int(at[1]), len(used.theirs)) - 1]}"

    return "; ".join(dict.fromkeys(place.sub(line, words) for words in telling or said))


def warnings(log: str) -> list[str]:
    """What it warned of, and whether it may have fewer open files than its settings ask for."""
    told = [found[2] for found in map(_SAID.search, log.splitlines()) if found and found[1] == "WARNING"]
    files = re.search(
        r"file descriptor limit: (\d+) .*max_client_conn: (\d+), max expected fd use: (\d+)", log
    )
    if files and int(files[3]) > int(files[1]):
        told.append(
            f"max_client_conn = {files[2]} needs {files[3]} open files, and this machine allows {files[1]}: "
            "further clients are refused"
        )
    return told
