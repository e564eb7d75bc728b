"""JupyterHub for a class: a server and a Postgres of their own for each student, nbgrader's exchange between them.

Everything is in one container; what keeps students apart are its users. Grading happens in the instructor's server.
"""

import os
import sys
from pathlib import Path

from jupyterhub.auth import Authenticator
from jupyterhub.spawner import LocalProcessSpawner

sys.path.insert(0, str(Path(__file__).parent))
import accounts

c = get_config()  # type: ignore[name-defined]  # noqa: F821
COURSE = Path(__file__).resolve().parents[2]
EXCHANGE = accounts.FOLDER / "exchange"
PORT = int(os.environ.get("PGLAB_HUB_PORT", "8000"))


class ClassAuthenticator(Authenticator):
    """Name and password of accounts.json."""

    async def authenticate(self, handler, data):  # type: ignore[no-untyped-def]
        """The name, or None."""
        account = accounts.read().get(data["username"])
        return account.name if account and account.accepts(data["password"]) else None


class CourseSpawner(LocalProcessSpawner):
    """A student's server as their own user of the container."""

    cmd = [sys.executable, str(COURSE / "docker" / "hub" / "server.py")]  # noqa: RUF012
    start_timeout = 600  # the first start seeds the dataset
    http_timeout = 120
    interrupt_timeout = 40  # its Postgres stops first

    def get_env(self):  # type: ignore[no-untyped-def]
        """Where the student's things are."""
        home = Path("/home") / self.user.name
        chosen = {
            name: os.environ[name]
            for name in ("PGLAB_SCALE", "PGLAB_SHARED_BUFFERS", "PGLAB_SANDBOX")
            if name in os.environ
        }
        return {
            **super().get_env(),
            **chosen,
            "PGLAB_HOME": str(home / ".pglab"),
            "PGLAB_EXCHANGE": str(EXCHANGE),
            "PGLAB_COURSE": str(home / "course" if self.user.name == accounts.INSTRUCTOR else home),
        }


for name in accounts.make():
    print(f"class: made an account for {name}")
EXCHANGE.mkdir(exist_ok=True)
EXCHANGE.chmod(0o777)
print(
    "class: the passwords stand in /srv/class/passwords.txt (docker compose exec hub cat /srv/class/passwords.txt)"
)
print(f"class: open http://127.0.0.1:{PORT}", flush=True)

c.JupyterHub.bind_url = f"http://0.0.0.0:{PORT}"
c.JupyterHub.db_url = f"sqlite:///{accounts.FOLDER / 'jupyterhub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(accounts.FOLDER / "cookie_secret")
c.JupyterHub.authenticator_class = ClassAuthenticator
c.JupyterHub.spawner_class = CourseSpawner
c.JupyterHub.log_level = "WARN"
c.JupyterHub.cleanup_servers = True
c.ConfigurableHTTPProxy.pid_file = "/run/jupyterhub-proxy.pid"
c.Authenticator.allowed_users = set(accounts.wanted())
c.Authenticator.admin_users = {accounts.INSTRUCTOR}
c.Spawner.default_url = "/lab"
