"""Points on many cores: this machine's by loky, which joblib brings, those of a Dask cluster by `distributed`."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import itertools
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from multiprocessing import resource_tracker
from typing import Any

from cimsolve.errors import EXIT_FAILED, FailedError, InputError
from cimsolve.files.text import shown_value, told
from cimsolve.study.interrupts import interrupts_held, signals_blocked
from cimsolve.study.sweep.point import Point, Record, solve_point

CONNECT_S = 10.0
"""How long a cluster may take to answer."""
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "BLIS", "NUMEXPR", "NUMBA")}
"""The environment of processes that share the cores."""
PR_SET_PDEATHSIG = 1
WATCH_S = 0.5
"""How often a process looks whether its parent is there, where the system does not end it."""


def solve_points(
    points: Mapping[str, Point], jobs: int = 1, cluster: str | None = None
) -> Generator[Record, None, None]:
    """Records of `points`, digest -> point, as they are finished.

    On `jobs` processes of this machine, each with one thread of BLAS and one of the solver; or, with the address of
    a Dask scheduler, on its workers, whoever is lost meanwhile.

    Raises InputError where there is no such cluster, FailedError where processes die.
    """
    if cluster is not None:
        yield from _on_cluster(points, cluster)
    elif jobs == 1 or len(points) <= 1:
        for digest, point in points.items():
            yield solve_point(point, digest)
    else:
        yield from _on_processes(points, min(jobs, len(points)))


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _on_processes(points: Mapping[str, Point], jobs: int) -> Iterator[Record]:
    from joblib.externals import loky
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    resource_tracker.ensure_running()  # else it is started with the first process, and unblocks signals after itself
    library: Any = loky  # has no types
    executor = library.ProcessPoolExecutor(jobs, initializer=_end_with, initargs=(os.getpid(),), env=ONE_THREAD)
    left = iter(points.items())
    running: set[Future[Record]] = set()
    try:
        while True:
            with signals_blocked():  # the first submission starts the processes
                asked = itertools.islice(left, 2 * jobs - len(running))
                running |= {executor.submit(solve_point, point, digest) for digest, point in asked}
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for each in done:
                yield each.result()
    except TerminatedWorkerError:
        raise FailedError(
            "a process was killed, perhaps for want of memory; what is finished is kept: run again with fewer --jobs"
        ) from None
    finally:
        with interrupts_held():
            executor.shutdown(kill_workers=True)


def _end_with(parent: int) -> None:
    """End this process when `parent` does, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_S)
        os._exit(EXIT_FAILED)

    threading.Thread(target=watch, daemon=True).start()


def _on_cluster(points: Mapping[str, Point], address: str) -> Iterator[Record]:
    distributed = load_distributed()
    try:
        _demand_scheduler(distributed, address)
        client = distributed.Client(address, timeout=CONNECT_S, set_as_default=False)
    except Exception as error:  # a network's libraries raise anything
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(
            f"--cluster {shown_value(address)}: no Dask scheduler answers there ({told(reason)}); start one with "
            "`dask scheduler`, and workers with `dask worker ADDRESS --nthreads 1`"
        ) from None
    with _unlogged("distributed"), client:
        # Named by content: two clients that ask the same share the work. A lost worker's points go to another.
        tasks = [
            client.submit(solve_point, point, digest, key=f"cimsolve-{digest}") for digest, point in points.items()
        ]
        try:
            for task in distributed.as_completed(tasks, loop=client.loop):
                yield task.result()
                task.release()
        except distributed.KilledWorker as error:
            raise FailedError(f"a point ended every worker that took it, perhaps for want of memory: {error}") from None
        except CancelledError:
            raise FailedError(
                f"--cluster {shown_value(address)}: the scheduler is gone; what is finished is kept: "
                "start one again, and run the same command"
            ) from None
        finally:
            client.cancel(tasks)


@contextlib.contextmanager
def _unlogged(library: str) -> Iterator[None]:
    """Within, the library's loggers say nothing: what it would say is raised too."""
    loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict if name.split(".")[0] == library]
    heard = [logger for logger in loggers if not logger.disabled]
    for logger in heard:
        logger.disabled = True
    try:
        yield
    finally:
        for logger in heard:
            logger.disabled = False


def _demand_scheduler(distributed: Any, address: str) -> None:
    """Raise whatever tells that no scheduler is spoken to there; a client that fails leaves threads that complain."""

    async def ask() -> object:
        security = distributed.Security().get_connection_args("client")
        async with distributed.rpc(address, timeout=CONNECT_S, connection_args=security) as remote:
            return (await asyncio.wait_for(remote.identity(), CONNECT_S))["type"]

    with ThreadPoolExecutor(1) as apart:  # a notebook's thread has a loop of its own
        found = apart.submit(asyncio.run, ask()).result()
    if found != "Scheduler":
        raise InputError(f"a {found} does")


def load_distributed() -> Any:
    """The optional library; raises InputError where it is not installed."""
    try:
        import distributed
    except ImportError:
        raise InputError("--cluster: dask is not installed; pip install 'cimsolve[cluster]'") from None
    return distributed
