"""The class's accounts: made at the first start from the names in the settings, kept in the volume `class`.

Each is a user of the container, so that a student's server, files and database are closed to all others. Passwords are
made once; passwords.txt is for the instructor to hand them out.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import pwd
import re
import secrets
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = Path(os.environ.get("PGLAB_CLASS", "/srv/class"))
INSTRUCTOR = "instructor"
FIRST_UID = 2000
NAME = re.compile("[a-z][a-z0-9_-]{0,30}")
SKELETON = Path("/etc/skel")


@dataclass(frozen=True)
class Account:
    """Who may log in. uid: the same at every start, because files belong to it."""

    name: str
    uid: int
    salt: str
    secret: str  # scrypt of the password

    def accepts(self, password: str) -> bool:
        """Whether it is the password."""
        return hmac.compare_digest(_scrypt(password, self.salt), self.secret)


def read() -> dict[str, Account]:
    """Name → account."""
    try:
        found = json.loads((FOLDER / "accounts.json").read_text())
    except FileNotFoundError:
        return {}
    return {each["name"]: Account(**each) for each in found}


def wanted() -> list[str]:
    """The instructor, and the students of PGLAB_STUDENTS.

    Raises:
        SystemExit: one of the names cannot be a user's.
    """
    names = [INSTRUCTOR, *os.environ.get("PGLAB_STUDENTS", "").replace(",", " ").split()]
    for name in names:
        if not NAME.fullmatch(name):
            raise SystemExit(f"class: {name!r} cannot be an account. Use lower case letters, digits, - and _")
    return list(dict.fromkeys(names))


def make() -> list[str]:
    """Make what is missing: accounts, users of this container, their homes. Gives the names of the new accounts."""
    FOLDER.mkdir(exist_ok=True)
    FOLDER.chmod(0o711)
    known = read()
    new: dict[str, str] = {}
    for name in wanted():
        if name not in known:
            password, salt = secrets.token_urlsafe(9), secrets.token_hex(16)
            uid = max([FIRST_UID - 1, *(each.uid for each in known.values())]) + 1
            known[name] = Account(name, uid, salt, _scrypt(password, salt))
            new[name] = password
    if new:
        _append(FOLDER / "passwords.txt", "".join(f"{name} {password}\n" for name, password in new.items()))
        _replace(FOLDER / "accounts.json", json.dumps([asdict(each) for each in known.values()], indent=1))
    for each in known.values():
        _user(each)
    return [*new]


def _user(account: Account) -> None:
    home = Path("/home") / account.name
    try:
        pwd.getpwnam(account.name)
    except KeyError:
        subprocess.run(
            ["useradd", "--no-create-home", "--user-group", "--uid", str(account.uid)]
            + ["--home-dir", str(home), "--shell", "/bin/bash", account.name],
            check=True,
        )
    if not home.exists():
        shutil.copytree(SKELETON, home)
        for path in (home, *home.rglob("*")):
            os.chown(path, account.uid, account.uid)
    home.chmod(0o700)


def _scrypt(password: str, salt: str) -> str:
    return hashlib.scrypt(password.encode(), salt=bytes.fromhex(salt), n=2**14, r=8, p=1).hex()


def _append(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    with path.open("a") as handle:
        handle.write(text)


def _replace(path: Path, text: str) -> None:
    draft = path.with_suffix(".draft")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)
