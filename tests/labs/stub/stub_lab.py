"""What the tiny lab's notebook imports, in place of pglab."""

import json
import os
from multiprocessing.connection import Client
from typing import Any


class Lab:
    def check(self, name: str, answer: Any = None) -> float:
        secret = bytes.fromhex(os.environ["PGLAB_REFEREE_SECRET"])
        with Client(os.environ["PGLAB_REFEREE"], authkey=secret) as connection:
            connection.send_bytes(json.dumps({"check": name, "answer": answer}).encode())
            return float(json.loads(connection.recv_bytes())["points"])


def start() -> Lab:
    return Lab()
