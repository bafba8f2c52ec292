"""Runs a command and takes its time, processor time and memory."""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """What a run took: seconds, seconds of all processors in it and for it, bytes."""

    wall: float
    cpu: float
    memory: int


class Failure(Exception):
    """Why a run does not count."""


def measure(command: list[str], folder: Path, home: Path, limit: float) -> Sample:
    """Runs a command in a folder; `limit` is in seconds.

    Raises Failure when the command fails or takes too long.
    """
    # A process starts with the peak of the one that it was forked from: the memory is taken by GNU time, which is
    # smaller than whatever it runs, and not by this interpreter, which is not.
    with tempfile.NamedTemporaryFile("r") as peak, tempfile.TemporaryFile("w+") as errors:
        timed = [str(shutil.which("time")), "--quiet", "--format", "%M", "--output", peak.name, *command]
        begun = time.perf_counter()
        process = subprocess.Popen(
            timed,
            cwd=folder,
            env=environment(home),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
        overdue = threading.Timer(limit, os.killpg, (process.pid, signal.SIGKILL))
        overdue.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - begun
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        finally:
            overdue.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode == -signal.SIGKILL:
            raise Failure(f"took more than {limit:.0f} s")
        if process.returncode != 0:
            errors.seek(0)
            said = errors.read().strip().splitlines() or ["it says nothing"]
            raise Failure(f"exit status {process.returncode}: {said[-1][:200]}")
        return Sample(wall, usage.ru_utime + usage.ru_stime, int(peak.read()) * 1024)


def environment(home: Path) -> dict[str, str]:
    """The environment of all commands: no proxy, no settings of whoever runs the race."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8"}
