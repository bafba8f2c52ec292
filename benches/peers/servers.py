"""The servers of the race, all on loopback: nginx, and in front of it proxies that delay, limit or break down."""

import os
import re
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

HERE = Path(__file__).parent
MIB = 1024 * 1024


@dataclass(frozen=True)
class Proxied:
    """A server behind a proxy: whose, milliseconds of round trip, and bytes a second for each connection, or 0."""

    to: str
    round_trip: int = 0
    rate: int = 0


PROXIED = {
    "far": Proxied("plain", round_trip=40),
    "far_secure": Proxied("secure", round_trip=40),
    "limited": Proxied("plain", rate=5 * MIB),
    "slow": Proxied("plain", rate=MIB),
    "mortal": Proxied("plain", rate=5 * MIB),
}
# What nginx cannot go on with, and not what a client has done to it.
GRAVE = re.compile(r"\[(alert|emerg)\]|Too many open files|No space left")
KINDS = ("plain", "secure", *PROXIED)


class Servers:
    """Servers by kind; they run while this is entered.

    plain and secure (HTTPS with HTTP/2) are nginx's own, and the others are one of them behind a proxy: nginx limits
    the rate of requests rather than of connections, and lets the first second's worth of each pass at once. mortal
    only runs between revive and the end of its life. nginx always runs, and of the proxies those in `kinds`; `delay` is
    their program.
    """

    def __init__(self, work: Path, files: Path, kinds: tuple[str, ...], delay: Path | None = None) -> None:
        self.work, self.files, self.kinds, self.delay = work, files, kinds, delay
        self.ports = dict(zip(KINDS, free_ports(len(KINDS)), strict=True))
        self.processes: list[subprocess.Popen[bytes]] = []
        self.mortal: subprocess.Popen[bytes] | None = None

    @property
    def certificate(self) -> Path:
        """What clients are to trust."""
        return self.work / "authority.pem"

    def base(self, kind: str) -> str:
        """The URL of the folder of files."""
        scheme = "https" if kind.endswith("secure") else "http"
        return f"{scheme}://127.0.0.1:{self.ports[kind]}"

    def __enter__(self) -> Self:
        self.make_certificates()
        (self.work / "temporary").mkdir()
        configuration = (HERE / "nginx.conf").read_text()
        # A worker for each two cores leaves the other to the client.
        values = {"work": self.work, "files": self.files, "workers": workers(), **self.ports}
        for name, value in values.items():
            configuration = configuration.replace(f"@{name}@", str(value))
        path = self.work / "nginx.conf"
        path.write_text(configuration)
        try:
            self.start(["nginx", "-c", str(path), "-e", str(self.work / "nginx.log")], "plain")
            for kind in self.kinds:
                if kind in PROXIED and kind != "mortal":
                    self.start(self.proxy(kind), kind)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def check(self) -> None:
        """Raises RuntimeError if nginx has been in trouble: what it could not send is nobody else's fault."""
        grave = [line for line in (self.work / "nginx.log").read_text().splitlines() if GRAVE.search(line)]
        if grave:
            raise RuntimeError(f"nginx says: {grave[0]}")

    def revive(self, life: int) -> None:
        """Starts the mortal server anew; it ends when it has sent `life` bytes."""
        if self.mortal:
            end(self.mortal)
            self.processes.remove(self.mortal)
        self.mortal = self.start(self.proxy("mortal", life), "mortal")

    def proxy(self, kind: str, life: int = 0) -> list[str]:
        proxied = PROXIED[kind]
        numbers = (self.ports[kind], self.ports[proxied.to], proxied.round_trip, proxied.rate, life)
        return [str(self.delay), *map(str, numbers)]

    def start(self, command: list[str], kind: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.processes.append(process)
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.ports[kind]), 1).close()
                return process
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command[0]} does not start") from None
                time.sleep(0.02)

    def stop(self) -> None:
        while self.processes:
            end(self.processes.pop())

    def make_certificates(self) -> None:
        """Makes an authority and a server's certificate by it: some clients refuse one that vouches for itself."""
        authority_key = str(self.work / "authority-key.pem")
        new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        new += ["-days", "2"]
        authority = ["-subj", "/CN=authority of the race", "-keyout", authority_key, "-out", str(self.certificate)]
        server = ["-subj", "/CN=server of the race", "-CA", str(self.certificate), "-CAkey", authority_key]
        server += ["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "subjectAltName=IP:127.0.0.1"]
        server += ["-keyout", str(self.work / "key.pem"), "-out", str(self.work / "certificate.pem")]
        for options in (authority, server):
            subprocess.run([*new, *options], check=True, stderr=subprocess.DEVNULL)


def workers() -> int:
    return max(1, (os.cpu_count() or 1) // 2)


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in held]
    for listener in held:
        listener.close()
    return ports


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
