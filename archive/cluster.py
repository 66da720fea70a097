"""The workers of a cluster that runs already, of the engine dask.distributed.

They read the files themselves, so that every machine must have them, the model and this repository under the same
path. A worker that dies costs nothing but time: the scheduler gives its files to others. Only the process that was
started by the user writes, so that a file which was analysed twice is still written once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pickle
import queue
import re
import threading
import time
from concurrent.futures import CancelledError
from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterator, Sequence

from archive.analyser import Analysis, Job
from archive.patterns import File
from archive.pool import Outcome, attempt
from errors import OutputError, PackageError, UserError
from opening import wait_for
from utils import say

_AHEAD = 512  # files that are given to the scheduler at once: as many workers are kept busy
_POLL = 0.1  # seconds between two looks at whether to stop
_CONNECT = 10.0  # seconds for the scheduler to answer
_STRANGER = "something else does"
_ADDRESS = re.compile(r"(tcp|tls)://([\w.-]+|\[[\w:.%]+\]):\d{1,5}")
_REPOSITORY = Path(__file__).resolve().parent.parent
# What a worker is given is made of Python's own types: one that doesn't find this repository would else die of it,
# instead of answering with an ImportError.
_PERFORM = "__import__('archive.cluster', fromlist=['perform']).perform(payload)"
_local = threading.local()


class Cluster:
    """A context manager.

    Args:
        address: Of the scheduler: tcp://host:8786.
        job: What the workers are to do.
        stop: Ends the wait for the scheduler.

    Raises:
        PackageError: dask.distributed isn't installed here.
        UserError: It is no address.
    """

    def __init__(self, address: str, job: Job, stop: threading.Event) -> None:
        try:
            import distributed
        except ImportError as error:
            raise PackageError(f"--cluster needs {error.name}; run ./setup.sh --extras cluster") from None
        if not _ADDRESS.fullmatch(address):
            raise UserError(f"--cluster {address}: give the scheduler's address, such as tcp://host:8786")
        # It reports every broken connection, with tracebacks; what matters is said here, in one line.
        for name in logging.root.manager.loggerDict:
            if name.split(".")[0] in ("distributed", "asyncio"):
                logging.getLogger(name).setLevel(logging.CRITICAL)
        self._address = address
        self._job = job
        self._stop = stop
        self._killed = distributed.scheduler.KilledWorker
        self._open = partial(distributed.Client, address, timeout=_CONNECT, set_as_default=False)
        self._client: Any = None

    def __enter__(self) -> Cluster:
        """Connects.

        Raises:
            UserError: No scheduler answers.
        """
        end = time.monotonic() + _CONNECT + 1

        def check() -> None:
            if self._stop.is_set() or time.monotonic() > end:
                raise TimeoutError(_STRANGER)

        try:
            # In a thread of its own: what isn't a scheduler may keep it for ever, whatever its time limit.
            self._client = wait_for(self._open, check)
            if not self._client.nthreads():
                worker = f".venv/bin/dask worker {self._address} --nthreads 1 --nworkers auto"
                say(f"cluster: no worker yet; waiting for: PYTHONPATH=$PWD {worker}")
        except Exception as error:  # what a stranger's answer can be taken for: numbers too large, no memory, ...
            if not self._stop.is_set():
                known = isinstance(error, (OSError, ValueError, asyncio.TimeoutError))
                reason = str(error).split("\n")[0] if known else _STRANGER
                problem = f"no scheduler answers ({reason}); start one: .venv/bin/dask scheduler"
                raise UserError(f"--cluster {self._address}: {problem}") from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is None:
            return
        with contextlib.suppress(OSError, RuntimeError, asyncio.TimeoutError):  # the scheduler may be gone
            self._client.close(timeout=1)

    def run(self, files: Sequence[File], stop: threading.Event, meanwhile: Callable[[], None]) -> Iterator[Outcome]:
        """Has the files analysed; yields each as it is done, once.

        Args:
            files: To analyse.
            stop: Ends it early.
            meanwhile: Called some times a second.

        Raises:
            UserError: The model is of no use, or the workers don't find this repository.
            OutputError: The connection to the scheduler is lost.
        """
        waiting = iter(files)
        given: dict[Any, File] = {}
        done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        while not stop.is_set():
            while len(given) < _AHEAD:
                file = next(waiting, None)
                if file is None:
                    break
                payload = {"payload": pickle.dumps((self._job, file))}
                future = self._client.submit(eval, _PERFORM, payload, pure=False)
                given[future] = file
                future.add_done_callback(done.put)
            if not given:
                return
            meanwhile()
            try:
                future = done.get(timeout=_POLL)
            except queue.Empty:
                continue
            outcome = self._result(future)
            if outcome is None:
                done.put(future)
            else:
                yield given.pop(future), outcome

    def _result(self, future: Any) -> Analysis | str | None:
        """Returns what came of a file; None if its worker has died with the result, so that another one makes it."""
        try:
            result = pickle.loads(future.result(timeout=_POLL))
        except asyncio.TimeoutError:  # first: since Python 3.11 it is an OSError
            return None
        except self._killed:
            return "it crashes what reads it (workers of the cluster died of it)"
        except (CancelledError, OSError) as error:
            raise OutputError(
                f"--cluster {self._address}: lost the scheduler; start it, then the same command again"
            ) from error
        except (ImportError, AttributeError) as error:
            raise UserError(
                f"--cluster {self._address}: a worker can't use this repository ({str(error).splitlines()[0]}); "
                f"start workers with PYTHONPATH={_REPOSITORY}"
            ) from None
        if isinstance(result, UserError):
            raise result
        return result


def perform(payload: bytes) -> bytes:
    """Runs on a worker, in any of its threads: each of them has a model of its own.

    Args:
        payload: A Job and a File, pickled.

    Returns:
        What came of the file, pickled.
    """
    job, file = pickle.loads(payload)
    if getattr(_local, "job", None) != job:
        try:
            _local.analyse, _local.job = job.open(), job
        except UserError as error:
            return pickle.dumps(error)
    return pickle.dumps(attempt(_local.analyse, file, lambda: None))
