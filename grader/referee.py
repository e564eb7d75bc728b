"""The referee: a process that judges. `python -m grader.referee [--student ID] [--graded]`.

It prints one JSON line, {"socket": path, "secret": hex}, and serves kernels on that socket (see pglab.wire) until its
standard input closes: with whoever started it, however that ended. Over standard input, which no kernel can reach when
somebody else started the referee, it also answers the line `open` (opens the lab ahead of the kernel, and says which
sockets the kernel needs) and the line `record` (what it has seen).
"""

from __future__ import annotations

import argparse
import hmac
import json
import logging
import secrets
import socket
import socketserver
import struct
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import psycopg

from grader.context import StudentError
from grader.database import student_id
from grader.session import Session
from pglab.cluster import Cluster
from pglab.cluster.account import is_root
from pglab.errors import PglabError, RefereeError
from pglab.home import Home
from pglab.launch import COURSE_KEY, RefereeHandle
from pglab.wire import Channel, plain

HELLO_LIMIT_S = 5.0
SEND_LIMIT_S = 10  # to a kernel that does not read; a check holds the session meanwhile
MOST_CONNECTIONS = 32

log = logging.getLogger("pglab.referee")


class Referee(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Serves one session on a Unix socket."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, session: Session) -> None:
        self.session = session
        self.secret = secrets.token_hex(16)
        self.path = session.folder / "referee"
        self._places = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(str(self.path), _Conversation)
        # As root the kernel may run as another user; the secret is what counts.
        self.path.chmod(0o666 if session.graded and is_root() else 0o600)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection, unless there are too many."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Give the place back however the conversation ended."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A kernel that died in the middle is no news; anything else is a fault of ours."""
        error = sys.exc_info()[1]
        log.log(
            logging.INFO if isinstance(error, OSError) else logging.ERROR,
            "a conversation broke off",
            exc_info=error,
        )

    def close(self) -> None:
        """Stop serving and leave nothing behind."""
        self.shutdown()
        self.server_close()
        self.path.unlink(missing_ok=True)
        self.session.close()


class _Conversation(socketserver.BaseRequestHandler):
    """One connection of a kernel."""

    def handle(self) -> None:
        referee = cast(Referee, self.server)
        connection = cast(socket.socket, self.request)
        connection.settimeout(HELLO_LIMIT_S)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", SEND_LIMIT_S, 0))
        channel = Channel(connection)
        try:
            hello = channel.receive()
            if hello is None or not _same(hello.get("hello"), referee.secret):
                raise RefereeError("The referee does not know this session")
            channel.send({"ok": "hello"})
            connection.settimeout(None)
            while (request := channel.receive()) is not None:
                if "id" in request:
                    continue  # an answer that came too late to count
                try:
                    channel.send({"ok": self._answer(referee.session, request, channel, connection)})
                except PglabError as error:
                    channel.send({"error": error.message, "remedy": error.remedy})
                except OSError:
                    raise  # the kernel is gone
                except psycopg.Error as error:
                    said = str(error).strip() or type(error).__name__
                    log.warning("%s: %s", request.get("do"), said)
                    channel.send({"error": f"The server said: {said}", "remedy": "See `pglab status`"})
                except Exception as error:
                    log.exception("%s", request.get("do"))
                    channel.send(
                        {
                            "error": f"The referee failed ({type(error).__name__})",
                            "remedy": "Its log has more",
                        }
                    )
        except RefereeError as error:  # garbage: say so and hang up
            channel.send({"error": error.message, "remedy": error.remedy})

    @staticmethod
    def _answer(
        session: Session, request: dict[str, Any], channel: Channel, connection: socket.socket
    ) -> Any:
        def step(text: str) -> None:
            try:
                channel.send({"step": text})
            except (
                OSError
            ):  # gone, or not reading: what is at work goes on, and the next call finds the line cut
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

        match request:
            case {"do": "start", "lab": str(lab)}:
                return session.start(lab, step)
            case {"do": "check", "check": str(check)}:
                return session.check(check, request.get("answer"), step, _Caller(channel, connection).run)
            case {"do": "reset"}:
                return session.reset(step)
        raise RefereeError("The referee does not know this request")


class _Caller:
    """Runs the student's functions over the connection that asked for a check."""

    def __init__(self, channel: Channel, connection: socket.socket) -> None:
        self._channel = channel
        self._connection = connection

    def run(self, name: str, arguments: list[Any], limit_s: float) -> Any:
        """See grader.context.Context.call. A late answer to an earlier call is thrown away by its id."""
        number = secrets.randbits(48)
        message = {"call": name, "id": number, "args": plain(arguments)}
        deadline = time.monotonic() + limit_s
        try:
            self._channel.send(message)
            while True:
                self._connection.settimeout(max(deadline - time.monotonic(), 0.001))
                answer = self._channel.receive()
                if answer is None:
                    raise ConnectionResetError
                if answer.get("id") != number:
                    continue
                if "raised" in answer:
                    raise StudentError(
                        f"{name} raised {answer['raised']}", "run it yourself with the same kind of argument"
                    )
                return answer.get("result")
        except TimeoutError:
            raise StudentError(
                f"{name} did not return within {limit_s:g} s", "what does it wait for?"
            ) from None
        except (
            OSError,
            RefereeError,
        ) as error:  # not the referee's fault, whatever the kernel did: it is theirs
            said = error.message if isinstance(error, RefereeError) else "the kernel hung up"
            raise StudentError(
                f"{name} gave no answer ({said})", "run the notebook again from the top"
            ) from error
        finally:
            with suppress(OSError):
                self._connection.settimeout(None)


def _same(told: object, secret: str) -> bool:
    return isinstance(told, str) and hmac.compare_digest(told.encode(), secret.encode())


class RefereeProcess(RefereeHandle):
    """A referee for one submission, held by whoever grades it."""

    def __init__(self, student: str, lab: str = "", home: Home | None = None, key: str = "") -> None:
        """Args: key: the course's, that parameters are drawn from; empty for the home's own."""
        # "=": a student may be called --help
        arguments = ["--graded", f"--student={student}", *([f"--lab={lab}"] if lab else [])]
        super().__init__(arguments, home, {COURSE_KEY: key} if key else {})

    def open(self) -> list[Path]:
        """Open the lab before there is a kernel: its database, or its cluster.

        Returns:
            The folders and files with the sockets that the kernel needs.

        Raises:
            RefereeError: it could not be opened, or the referee is gone.
        """
        told = cast(dict[str, Any], self.ask("open"))
        if "error" in told:
            raise RefereeError(told["error"], told["remedy"])
        return [Path(path) for path in told["sockets"]]

    def record(self) -> dict[str, dict[str, Any]]:
        """Check → verdict, as the referee saw it.

        Raises:
            RefereeError: the referee is gone.
        """
        return cast(dict[str, dict[str, Any]], self.ask("record"))


def _obey(session: Session, command: str) -> Any:
    """Answer a line of whoever holds the pipe."""
    match command:
        case "record":
            return session.record()
        case "open":
            try:
                session.start(session.only)
                return {"sockets": [str(path) for path in session.sockets()]}
            except PglabError as error:
                return {"error": error.message, "remedy": error.remedy}
            except Exception as error:
                log.exception("opening %s", session.only)
                said = str(error).strip() or type(error).__name__
                return {"error": f"The lab could not be opened ({said})", "remedy": "See `pglab status`"}
    return None


def main() -> None:
    """Serve until standard input closes."""
    parser = argparse.ArgumentParser(
        prog="python -m grader.referee", description="Judge one kernel's checks."
    )
    parser.add_argument(
        "--student", default=student_id(), help="whose parameters are drawn (default: %(default)s)"
    )
    parser.add_argument("--graded", action="store_true", help="a fresh database, dropped at the end")
    parser.add_argument("--lab", default="", help="the only lab that may be opened (default: any)")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(asctime)s [%(process)d] %(message)s", level=logging.WARNING)
    home = Home.default()
    home.make()
    referee = Referee(Session(Cluster(home), arguments.student, graded=arguments.graded, lab=arguments.lab))
    threading.Thread(target=referee.serve_forever, name="serve", daemon=True).start()
    print(json.dumps({"socket": str(referee.path), "secret": referee.secret}), flush=True)
    try:
        for line in sys.stdin:
            print(json.dumps(_obey(referee.session, line.strip())), flush=True)
    except KeyboardInterrupt:
        pass
    finally:
        referee.close()


if __name__ == "__main__":
    main()
