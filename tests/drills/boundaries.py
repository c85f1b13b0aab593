"""Every place where a process writes, counted; at a chosen one it is killed, or waits.

Installed in a child process before it does a step. A boundary lies before each write; a file has
a second one in its midst, when half of it lies under the name that only the writer knows; a folder
that is published whole has one before each of its parts. "After
the last write" needs none: the step is then done.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WRITING = ("create", "set", "delete", "log", "update", "rename")
"""First words of the calls of an `MlflowClient` that write."""


class Boundaries:
    """The boundaries passed so far, by name.

    Args:
        kill_at: number of the boundary at which the process dies (none: only counted).
        wait_at: number of the boundary at which it waits for others.
        folder: where a waiting process writes `waits`, and looks for `go`.
    """

    def __init__(self, kill_at: int | None, wait_at: int | None, folder: Path) -> None:
        self.kill_at, self.wait_at, self.folder = kill_at, wait_at, folder
        self.passed: list[str] = []
        self.lock = threading.RLock()
        self.inside = threading.local()

    def cross(self, name: str) -> bool:
        """One more boundary; whether it is the one to die at."""
        with self.lock:
            number = len(self.passed)
            self.passed.append(name)
        if number == self.wait_at:
            (self.folder / "waits").touch()
            while not (self.folder / "go").exists():
                time.sleep(0.01)
        return number == self.kill_at

    def install(self) -> None:
        """From now on every write of this process crosses a boundary."""
        from fsspec.implementations.local import LocalFileSystem
        from mlflow.tracking import MlflowClient

        from infra import attempt, files, store
        from serving import items, published, recall

        for module, name in ((store, "put"), (store, "put_new"), (attempt, "put")):
            setattr(module, name, self._file(name, getattr(files, name)))
        for name in ("rm_file", "rm"):
            setattr(LocalFileSystem, name, self._call(name, getattr(LocalFileSystem, name)))
        for module, name in ((published, "copy_files"), (items, "build"), (recall, "build")):
            setattr(module, name, self._call(f"{name} of a bundle", getattr(module, name)))
        for name in dir(MlflowClient):
            if name.split("_")[0] in WRITING:
                setattr(MlflowClient, name, self._call(name, getattr(MlflowClient, name)))

    def _file(self, kind: str, write: Callable[..., Any]) -> Callable[..., Any]:
        def crossing(fs: Any, path: str, data: Any, **options: Any) -> Any:
            name = path.rsplit("/", 1)[-1]
            if self.cross(f"{kind} {name}"):
                die()
            if self.cross(f"half of {name}"):
                target = Path(fs._strip_protocol(path))
                target.parent.mkdir(parents=True, exist_ok=True)
                target.with_name(f".{name}.torn").write_bytes(bytes(data)[: len(data) // 2])
                die()
            return write(fs, path, data, **options)

        return crossing

    def _call(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def crossing(*arguments: Any, **named: Any) -> Any:
            if getattr(self.inside, "call", False):  # one call of a client that calls others
                return call(*arguments, **named)
            if self.cross(name):
                die()
            self.inside.call = True
            try:
                return call(*arguments, **named)
            finally:
                self.inside.call = False

        return crossing


def die() -> None:
    """As the machine, or the kernel short of memory, does it."""
    os.kill(os.getpid(), signal.SIGKILL)
