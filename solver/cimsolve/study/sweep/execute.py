"""Points on many cores: this machine's by joblib, those of a Dask cluster by `distributed`."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from cimsolve.errors import FailedError, InputError
from cimsolve.study.sweep.point import Point, Record, solve_point

CONNECT_S = 10.0
"""How long a cluster may take to answer."""


def solve_points(points: Mapping[str, Point], jobs: int = 1, cluster: str | None = None) -> Iterator[Record]:
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
    import joblib
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    library: Any = joblib  # has no types
    with library.parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1):
        tasks = (library.delayed(_solve_in_worker)(point, digest, os.getpid()) for digest, point in points.items())
        try:
            yield from library.Parallel(batch_size=1, pre_dispatch="n_jobs", return_as="generator_unordered")(tasks)
        except TerminatedWorkerError:
            raise FailedError(
                "a process was killed, perhaps for want of memory; what is finished is kept: "
                "run again with fewer --jobs"
            ) from None


def _solve_in_worker(point: Point, digest: str, parent: int) -> Record:
    """`solve_point` where Ctrl-C is the business of the process `parent`: it ends its workers itself."""
    if os.getpid() != parent and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return solve_point(point, digest)


def _on_cluster(points: Mapping[str, Point], address: str) -> Iterator[Record]:
    distributed = load_distributed()
    try:
        client = distributed.Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"--cluster {address}: no Dask scheduler answers there ({str(error).splitlines()[0]}); start one with "
            "`dask scheduler`, and workers with `dask worker ADDRESS --nthreads 1`"
        ) from None
    with client:
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
        finally:
            client.cancel(tasks)


def load_distributed() -> Any:
    """The optional library; raises InputError where it is not installed."""
    try:
        import distributed
    except ImportError:
        raise InputError("--cluster: dask is not installed; pip install 'cimsolve[cluster]'") from None
    return distributed
