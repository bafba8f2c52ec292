"""Who races, and with what command lines."""

import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from files import File

CLIENTS = Path(__file__).parent / "clients"


@dataclass(frozen=True)
class Job:
    """What is to be fetched where to.

    The bases are the folders of the files on each source, the lists go to `work`, and `certificate` is what to trust.
    `connections` is how many files are fetched at a time or, of one file, over how many connections.
    """

    ganymede: Path
    files: list[File]
    source: Path
    bases: list[str]
    work: Path
    out: Path
    connections: int
    certificate: Path | None

    def listed(self, name: str, line: Callable[[File], str]) -> str:
        """Writes a list with a line for each file."""
        path = self.work / name
        path.write_text("".join(f"{line(file)}\n" for file in self.files))
        return str(path)

    def url(self, file: File) -> str:
        return f"{self.bases[0]}/{file.name}"

    def trusting(self, option: str) -> list[str]:
        return [f"{option}={self.certificate}"] if self.certificate else []


@dataclass(frozen=True)
class Contestant:
    """A client with its options; `verifies` if it checks digests, `stores` unless it downloads nothing.

    `program` is what must be installed, as the setting names it.
    """

    name: str
    program: str
    command: Callable[[Job], list[str]]
    verifies: bool = False
    stores: bool = True

    @property
    def own(self) -> bool:
        return self.program == "ganymede"


def ganymede(job: Job, connections: str | None = None) -> list[str]:
    """With the digests that the files have, over as many connections as the others unless it is told otherwise."""

    def line(file: File) -> str:
        digests = [f"{name}={digest}" for name, digest in file.digests.items()]
        mirrors = [f"mirror={base}/{file.name}" for base in job.bases[1:]]
        return " ".join([job.url(file), *mirrors, *digests])

    command = [str(job.ganymede), "get", "-q", "-d", str(job.out), "-i", job.listed("ganymede.list", line)]
    connections = connections or str(job.connections)
    command += ["-j", connections, "--segments", "1"] if len(job.files) > 1 else ["--segments", connections]
    return command + job.trusting("--ca-certificate")


def ganymede_auto(job: Job) -> list[str]:
    """It finds out itself how many connections are good."""
    return ganymede(job, "auto")


def ganymede_dry(job: Job) -> list[str]:
    listed = job.listed("ganymede.list", job.url)
    return [str(job.ganymede), "get", "-q", "--dry-run", "-d", str(job.out), "-i", listed]


def curl(job: Job, *, immediate: bool = True) -> list[str]:
    """Unless `immediate`, it waits for what can share a connection, and loses a round trip where nothing can."""
    listed = job.listed("curl.config", lambda file: f'url = "{job.url(file)}"\noutput = "{file.name}"')
    command = ["curl", "-fsS", "--no-progress-meter", "--output-dir", str(job.out), "-K", listed]
    if len(job.files) > 1:
        command += ["--parallel", "--parallel-max", str(job.connections)]
        command += ["--parallel-immediate"] if immediate else []
    return command + (["--http2", "--cacert", str(job.certificate)] if job.certificate else [])


def curl_sharing(job: Job) -> list[str]:
    return curl(job, immediate=False)


def curl_then_sha256sum(job: Job) -> list[str]:
    sums = job.listed("sums", lambda file: f"{file.digests['sha256']}  {job.out / file.name}")
    return ["sh", "-c", f"{shlex.join(curl(job))} && sha256sum --status -c {shlex.quote(sums)}"]


def wget2(job: Job) -> list[str]:
    """With a request at a time for each connection: otherwise it has up to 30 by HTTP/2, and 16 connections 480."""
    command = wget2_sharing(job)
    return command + (["--http2-request-window=1"] if job.certificate else [])


def wget2_sharing(job: Job) -> list[str]:
    listed = job.listed("wget2.list", job.url)
    command = ["wget2", "-q", "--no-use-server-timestamps", "-P", str(job.out), "-i", listed]
    command.append(f"--max-threads={job.connections}")
    return command + job.trusting("--ca-certificate")


def aria2(job: Job, *, check: bool = False) -> list[str]:
    def line(file: File) -> str:
        sources = "\t".join(f"{base}/{file.name}" for base in job.bases)
        checksum = f"\n checksum=sha-256={file.digests['sha256']}" if check else ""
        return f"{sources}\n out={file.name}{checksum}"

    command = ["aria2c", "--no-conf", "-q", "--file-allocation=none", "--auto-save-interval=0", "--async-dns=false"]
    command += ["--deferred-input=true", "-d", str(job.out), "-i", job.listed("aria2.list", line)]
    if len(job.files) > 1:
        command += ["-j", str(job.connections), "-x", "1", "-s", "1"]
    else:
        command += ["-x", str(job.connections), "-s", str(job.connections), "-k", "1M"]
    return command + job.trusting("--ca-certificate")


def aria2_checksum(job: Job) -> list[str]:
    return aria2(job, check=True)


def axel(job: Job) -> list[str]:
    """One file only: it takes no list."""
    file = job.files[0]
    return ["axel", "-q", "-n", str(job.connections), "-o", str(job.out / file.name), job.url(file)]


def requests(job: Job) -> list[str]:
    listed = job.listed("python.list", lambda file: f"{job.url(file)} {file.name}")
    command = [sys.executable, str(CLIENTS / "with_requests.py"), listed, str(job.out), str(job.connections)]
    return command + job.trusting("--certificate")


def aiohttp(job: Job, *, check: bool = False) -> list[str]:
    listed = job.listed(
        "aiohttp.list",
        lambda file: " ".join([job.url(file), file.name, *(file.digests.values() if check else ())]),
    )
    command = [sys.executable, str(CLIENTS / "with_aiohttp.py"), listed, str(job.out), str(job.connections)]
    if check:
        command += ["--digests", ",".join(job.files[0].digests)]
    return command + job.trusting("--certificate")


def aiohttp_digests(job: Job) -> list[str]:
    return aiohttp(job, check=True)


def aiohttp_threads(job: Job) -> list[str]:
    return [*aiohttp(job, check=True), "--threads"]


def digests_alone(job: Job) -> list[str]:
    algorithms = ",".join(job.files[0].digests)
    return [sys.executable, str(CLIENTS / "digests.py"), str(job.source), str(os.cpu_count()), algorithms]


GANYMEDE = Contestant("ganymede", "ganymede", ganymede, verifies=True)
GANYMEDE_AUTO = Contestant("ganymede, auto", "ganymede", ganymede_auto, verifies=True)
GANYMEDE_DRY = Contestant("ganymede --dry-run", "ganymede", ganymede_dry, stores=False)
CURL = Contestant("curl", "curl", curl)
CURL_SHARING = Contestant("curl, sharing connections", "curl", curl_sharing)
CURL_THEN_SHA256SUM = Contestant("curl, then sha256sum", "curl", curl_then_sha256sum, verifies=True)
WGET2 = Contestant("wget2", "wget2", wget2)
WGET2_SHARING = Contestant("wget2, 30 a connection", "wget2", wget2_sharing)
ARIA2 = Contestant("aria2", "aria2", aria2)
ARIA2_CHECKSUM = Contestant("aria2 with checksum", "aria2", aria2_checksum, verifies=True)
AXEL = Contestant("axel", "axel", axel)
REQUESTS = Contestant("requests", "requests", requests)
AIOHTTP = Contestant("aiohttp", "aiohttp", aiohttp)
AIOHTTP_DIGESTS = Contestant("aiohttp, digests in its loop", "aiohttp", aiohttp_digests, verifies=True)
AIOHTTP_THREADS = Contestant("aiohttp, digests in threads", "aiohttp", aiohttp_threads, verifies=True)
DIGESTS_ALONE = Contestant("the digests alone", "Python", digests_alone, stores=False)
