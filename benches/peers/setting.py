"""The machine of a race, and the versions of everything that takes part."""

import os
import platform
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as package_version
from pathlib import Path

from servers import workers

MISSING = "not installed"
PROGRAMS = {
    "nginx": ("nginx", "-v"),
    "curl": ("curl", "--version"),
    "wget2": ("wget2", "--version"),
    "aria2": ("aria2c", "--version"),
    "axel": ("axel", "--version"),
    "Python": (sys.executable, "--version"),
    "OpenSSL": ("openssl", "version"),
}
PACKAGES = ("requests", "aiohttp")


def setting(ganymede: Path) -> dict[str, str]:
    """The machine and the versions, `MISSING` for what is not here."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1024**3
    # The rest of the release is the machine's own business.
    release = ".".join(platform.release().split(".")[:2])
    return {
        "machine": f"{processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {release}",
        "workers of nginx": str(workers()),
        "ganymede": version((str(ganymede), "--version")),
        **{name: version(command) for name, command in PROGRAMS.items()},
        **{name: version_of_package(name) for name in PACKAGES},
    }


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def version(command: tuple[str, ...]) -> str:
    if not shutil.which(command[0]):
        return MISSING
    # Some say it with an exit status of failure.
    said = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
    found = re.search(r"\d+(\.\d+)+\w*", said)
    return found.group() if found else said.splitlines()[0]


def version_of_package(name: str) -> str:
    try:
        return package_version(name)
    except PackageNotFoundError:
        return MISSING
