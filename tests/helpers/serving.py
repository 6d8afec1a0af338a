"""A server at work in a thread of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import HTTPServer
from typing import TypeVar

One = TypeVar("One", bound=HTTPServer)


@contextmanager
def serving(server: One) -> Iterator[One]:
    """The server answers until the block ends, however it ends."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
