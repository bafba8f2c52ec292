"""The caches that are compared, and the origin behind them, all on loopback."""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "peers"))
from servers import free_ports  # noqa: E402

# Milliseconds to an origin that is far away, and back.
ROUND_TRIP = 40


@dataclass
class Server:
    """A server that runs while this is entered, and all processes of it."""

    name: str
    command: list[str]
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = None
    folders: list[Path] = field(default_factory=list)

    def __enter__(self) -> Self:
        for folder in self.folders:
            folder.mkdir(parents=True)
            # Some servers give up being root.
            folder.chmod(0o777)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise RuntimeError(f"{self.name} does not start: {self.log.read_text()[-300:]}") from None
                time.sleep(0.02)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)

    def stop(self) -> None:
        if not self.process:
            return
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def processes(self) -> list[int]:
        """The numbers of its processes: those of the session that it was started in."""
        own = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    if os.getsid(int(entry)) == self.process.pid:
                        own.append(int(entry))
                except OSError:
                    pass
        return own

    def cpu(self) -> float:
        """Seconds of all processors that its processes have used."""
        ticks = 0
        for process in self.processes():
            values = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += int(values[11]) + int(values[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """Bytes of memory of its processes, what they share counted once; without what is a file's."""
        total = 0
        for process in self.processes():
            for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
                if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                    total += int(line.split()[1]) * 1024
        return total


class Stage:
    """Where they run: a folder in memory, with the files of the origin, and ports.

    The origin is far away at a second port: `delay` is the program of the proxy there.
    """

    def __init__(self, work: Path, files: Path, ganymede: Path, digests: Path, delay: Path) -> None:
        self.work, self.files, self.ganymede, self.digests, self.delay = work, files, ganymede, digests, delay
        self.origin_port, self.far_port, self.port = free_ports(3)

    def origin(self) -> Server:
        (self.work / "temporary-of-origin").mkdir(exist_ok=True)
        configuration = self.configured("origin.conf", self.origin_port)
        command = ["nginx", "-c", str(configuration), "-e", str(self.work / "origin.log")]
        return Server("the origin", command, self.origin_port, self.work / "origin.out")

    def distance(self) -> Server:
        command = [str(self.delay), *map(str, (self.far_port, self.origin_port, ROUND_TRIP, 0, 0))]
        return Server("the distance", command, self.far_port, self.work / "distance.out")

    def contestants(self, origin: int) -> dict[str, Server]:
        """Those that are installed, by name, before the origin at a port."""
        work, port = self.work, self.port
        cache = work / "cache"
        ganymede = [str(self.ganymede), "stream", "--listen", f"127.0.0.1:{port}", "--access-log", "none"]
        ganymede += ["--remote", f"http://127.0.0.1:{origin}/", "--cache", str(cache)]
        ganymede += ["--cache-size", "8G", "--digests", str(self.digests)]
        nginx = ["nginx", "-c", str(self.configured("nginx.conf", origin)), "-e", str(work / "nginx.log")]
        squid_conf = str(self.configured("squid.conf", origin))
        # Squid makes its folders in a run of its own.
        squid = ["sh", "-c", f"squid -N -z -f {squid_conf} && exec squid -N -f {squid_conf}"]
        varnish = ["varnishd", "-F", "-a", f"127.0.0.1:{port}", "-f", str(self.configured("origin.vcl", origin))]
        varnish += ["-n", str(cache), "-s", "malloc,8g", "-t", "3600"]
        commands = {"ganymede": ganymede, "nginx": nginx, "squid": squid, "varnish": varnish}
        (work / "temporary").mkdir(exist_ok=True)
        programs = {"ganymede": str(self.ganymede), "nginx": "nginx", "squid": "squid", "varnish": "varnishd"}
        return {
            name: Server(name, command, port, work / f"{name}.out", folders=[cache])
            for name, command in commands.items()
            if shutil.which(programs[name])
        }

    def configured(self, template: str, origin: int) -> Path:
        text = (HERE / template).read_text()
        values = {
            "work": self.work,
            "files": self.files,
            "cache": self.work / "cache",
            "port": self.port,
            "origin": origin,
            "cores": os.cpu_count(),
            "user": "proxy" if os.geteuid() == 0 else getpass.getuser(),
        }
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        path = self.work / f"{origin}-{template}"
        path.write_text(text)
        return path


if __name__ == "__main__":
    sys.exit("run this by benches/caches/run")
