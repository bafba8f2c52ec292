"""What is measured of a cache, from outside: by wrk, curl and sockets."""

import hashlib
import http.client
import re
import selectors
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from contestants import HERE, Server

# How many connections ask at a time.
CONNECTIONS = 32
SLOW = 1000


class Wrong(Exception):
    """Why a cache is disqualified."""


def rate(server: Server, script: str, path: str, seconds: int, *arguments: str) -> tuple[float, float]:
    """Requests a second by wrk, and the server's processor seconds for 1,000 of them."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(HERE / script)]
    command += [f"http://127.0.0.1:{server.port}{path}", "--", *arguments]
    before = server.cpu()
    said = subprocess.run(command, check=True, text=True, capture_output=True, timeout=seconds + 60).stdout
    cpu = server.cpu() - before
    result = re.search(r"^result (\d+) (\d+) (\d+)$", said, re.MULTILINE)
    if not result:
        raise Wrong(f"wrk says: {said[-200:]}")
    requests, microseconds, failed = map(int, result.groups())
    if failed or not requests:
        raise Wrong(f"{failed} of {requests} requests fail")
    return requests / (microseconds / 1e6), cpu / requests * 1000


def large(server: Server, path: str, length: int) -> float:
    """Bytes a second of one large content, by curl."""
    url = f"http://127.0.0.1:{server.port}{path}"
    command = ["curl", "-sS", "--fail", "--noproxy", "*", "-o", "/dev/null", "-w", "%{size_download}", url]
    begun = time.perf_counter()
    said = subprocess.run(command, check=True, text=True, capture_output=True, timeout=120).stdout
    seconds = time.perf_counter() - begun
    if int(said) != length:
        raise Wrong(f"{path} has {said} bytes")
    return length / seconds


def compare(server: Server, files: dict[str, str]) -> None:
    """Raises Wrong unless each path has the content of its digest."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    for path, expected in files.items():
        connection.request("GET", path)
        response, digest = connection.getresponse(), hashlib.sha256()
        while block := response.read(1 << 20):
            digest.update(block)
        if response.status != 200 or digest.hexdigest() != expected:
            raise Wrong(f"{path}: status {response.status}, or other bytes")
    connection.close()


def together(server: Server, path: str, clients: int, log: Path, expected: str) -> int:
    """How often the origin is asked when so many clients ask for the same at once."""
    log.write_text("")
    results: list[str] = []

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("GET", path)
        results.append(hashlib.sha256(connection.getresponse().read()).hexdigest())

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if results != [expected] * clients:
        raise Wrong(f"{path}: not all of {clients} clients have the right bytes")
    return len(log.read_text().splitlines())


def slow_clients(server: Server, path: str) -> int:
    """Bytes of memory for 1,000 clients that have begun to read a content and go on slowly."""
    before = server.memory()
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    clients = [begin(server.port, request) for _ in range(SLOW)]
    with selectors.DefaultSelector() as ready:
        for client in clients:
            ready.register(client, selectors.EVENT_READ)
        answered: set[int] = set()
        until = time.monotonic() + 60
        # Each reads a little now and then, until all were answered and three seconds are over.
        least = time.monotonic() + 3
        while (len(answered) < SLOW or time.monotonic() < least) and time.monotonic() < until:
            for key, _ in ready.select(0.1):
                if not key.fileobj.recv(4096):
                    raise Wrong("a slow client is sent away")
                answered.add(key.fd)
            time.sleep(0.25)
    memory = server.memory() - before
    for client in clients:
        client.close()
    if len(answered) < SLOW:
        raise Wrong(f"{SLOW - len(answered)} slow clients have no answer")
    return memory


def begin(port: int, request: bytes) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
    client.connect(("127.0.0.1", port))
    client.sendall(request)
    return client


def files_of(folder: Path) -> Iterator[tuple[str, str]]:
    """The paths below a folder with their SHA-256."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                yield str(path.relative_to(folder)), hashlib.file_digest(file, "sha256").hexdigest()
