"""A referee with no server behind it: the way of the points through nbgrader is tested with it alone."""

import json
import os
import secrets
import threading
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

WORTH = {"find": 3.0, "fix": 5.0}
POINTS = {("find", "x"): 3.0, ("fix", 42): 5.0, ("fix", 41): 2.5, ("fix", 40): 5 / 3}


class StubReferee:
    """Judges an answer by a table; keeps the last verdict on each check."""

    def __init__(self, student: str, lab: str, home: Any, key: str) -> None:
        if student == "no-referee":
            raise RuntimeError("the server is not running")
        self._student = student
        self._secret = secrets.token_bytes(16)
        self._listener = Listener(family="AF_UNIX", authkey=self._secret)
        self._record: dict[str, dict[str, Any]] = {}
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def open(self) -> list[Path]:
        return []

    def env(self) -> dict[str, str]:
        return {"PGLAB_REFEREE": str(self._listener.address), "PGLAB_REFEREE_SECRET": self._secret.hex()}

    def record(self) -> dict[str, dict[str, Any]]:
        return dict(self._record)

    def close(self) -> None:
        with Client(self._listener.address, authkey=self._secret) as connection:
            connection.send_bytes(b"null")
        self._thread.join(10)
        self._listener.close()
        with Path(os.environ["STUB_LOG"]).open("a") as log:
            print(self._student, "alive" if self._thread.is_alive() else "closed", file=log)

    def _serve(self) -> None:
        while True:
            with self._listener.accept() as connection:
                if not self._answer(connection):
                    return

    def _answer(self, connection: Connection) -> bool:
        asked = json.loads(connection.recv_bytes())
        if asked is None:
            return False
        name, answer = asked["check"], asked["answer"]
        points = POINTS.get((name, answer), 0.0)
        status = "pass" if points == WORTH[name] else "fail"
        verdict = {
            "check": name,
            "part": "fix",
            "title": f"The {name} check",
            "status": "error" if answer == "no server" else status,
            "points": points,
            "max_points": WORTH[name],
            "targets": [],
            "message": f"measured {answer}",
        }
        self._record[name] = verdict
        connection.send_bytes(json.dumps(verdict).encode())
        return True
