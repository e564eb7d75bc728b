"""Where submissions run: some at a time on this machine, or on the workers of a Dask cluster."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager

from grader.sandbox import watch
from pglab.errors import PglabError

CONNECT_LIMIT_S = 10


@contextmanager
def here(jobs: int) -> Iterator[tuple[Executor, int]]:
    """Threads of this process: all that is heavy is other processes. An interrupt ends what runs."""
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="submission")
    try:
        yield pool, jobs
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        watch.end_all("the grading was interrupted")
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def on_dask(address: str, jobs: int = 0) -> Iterator[tuple[Executor, int]]:
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
            yield executor, jobs or threads
        finally:
            executor.shutdown(wait=False)
