"""Where submissions run: some at a time on this machine, or on the workers of a Dask cluster."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import NamedTuple

from grader.autograde import attempt
from grader.execution import Executed, Job
from grader.sandbox import watch
from pglab.errors import PglabError

CONNECT_LIMIT_S = 10
AHEAD = 1  # labs that are opened, or closed, beside the notebooks that run; each takes a database's room
INTERRUPTED = "the grading was interrupted"


class Workers(NamedTuple):
    """An executor, how many submissions to hand it at a time, and what runs one."""

    executor: Executor
    many: int
    run: Callable[[Job], Executed]


class Places:
    """For so many notebooks at a time. Closed, it lets nobody in any more."""

    def __init__(self, many: int) -> None:
        self._free = threading.Semaphore(many)
        self._closed = False

    def __enter__(self) -> None:
        self._free.acquire()
        if self._closed:
            self._free.release()
            raise PglabError(f"Not run: {INTERRUPTED}", "Run the command again")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._free.release()

    def close(self) -> None:
        """Whoever waits for a place gets none."""
        self._closed = True


@contextmanager
def here(jobs: int) -> Iterator[Workers]:
    """Threads of this process: all that is heavy is other processes. An interrupt ends what runs.

    Args:
        jobs: notebooks at a time; meanwhile the next lab is opened, and the last one closed.
    """
    places = Places(jobs)
    pool = ThreadPoolExecutor(jobs + AHEAD, thread_name_prefix="submission")
    try:
        yield Workers(pool, jobs + AHEAD, partial(attempt, place=places))
    except BaseException:
        places.close()
        pool.shutdown(wait=False, cancel_futures=True)
        watch.end_all(INTERRUPTED)
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def on_dask(address: str, jobs: int = 0) -> Iterator[Workers]:
    """A Dask cluster's workers. Each needs this project, a running cluster of its own (`pglab up`), and the dataset.

    A submission whose worker died is run by another one.

    Args:
        jobs: at a time; 0 for as many as the workers have threads.

    Raises:
        PglabError: Dask is not installed, or no scheduler answers.
    """
    try:
        from distributed import Client
    except ImportError:
        raise PglabError("Dask is not installed", "Run `pip install 'pglab[dask]'`") from None
    logging.getLogger("distributed").setLevel(logging.ERROR)
    try:
        client = Client(address, timeout=CONNECT_LIMIT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise PglabError(
            f"No Dask scheduler answers at {address} ({error})", "Start one: `dask scheduler`"
        ) from error
    with client:
        threads = sum(client.nthreads().values())
        if not threads:
            raise PglabError(
                f"The scheduler at {address} has no workers", "Start some: `dask worker ADDRESS --nthreads 1`"
            )
        executor = client.get_executor(pure=False, retries=2)
        try:
            yield Workers(executor, jobs or threads, attempt)
        finally:
            executor.shutdown(wait=False)
