"""Fetches what a list names with requests: a pool of threads, a session each.

with_requests.py LIST FOLDER CONNECTIONS [--certificate FILE]

A line of the list is a URL and a name.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

import requests
from arguments import parser

BLOCK = 256 * 1024


def main() -> None:
    arguments = parser().parse_args()
    threads = threading.local()

    def fetch(line: str) -> None:
        url, name = line.split()
        if not hasattr(threads, "session"):
            threads.session = requests.Session()
            threads.session.trust_env = False
            threads.session.verify = arguments.certificate or True
        with threads.session.get(url, stream=True, timeout=60) as reply:
            reply.raise_for_status()
            with (arguments.folder / name).open("wb", buffering=0) as file:
                for block in reply.iter_content(BLOCK):
                    file.write(block)

    with arguments.list.open() as lines, ThreadPoolExecutor(arguments.connections) as pool:
        for _ in pool.map(fetch, lines):
            pass


if __name__ == "__main__":
    main()
