"""Files of a store of which a read fails, and the next one does not."""

from typing import Any


class Unread:
    """From now on, one read of a file with `name` in its address fails with `error`.

    Args:
        monkeypatch: of the test.
        filesystem: the class whose files are meant.
        name: a part of their addresses.
        error: what is raised.
        at: whether that is the read at a place of the file; by default the first one is.
    """

    def __init__(self, monkeypatch, filesystem, name, error, at=lambda _: True) -> None:
        self.name, self.error, self.at, self.failed = name, error, at, False
        self._open = filesystem._open
        monkeypatch.setattr(filesystem, "_open", self._opened)

    @property
    def _opened(self):
        def opened(fs, path, mode="rb", **asked: Any):
            file = self._open(fs, path, mode=mode, **asked)
            return _File(file, self) if mode == "rb" and self.name in path else file

        return opened


class _File:
    def __init__(self, file, fault: Unread) -> None:
        self._file, self._fault = file, fault

    def __getattr__(self, name: str):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, *size: int) -> bytes:
        if not self._fault.failed and self._fault.at(self._file.tell()):
            self._fault.failed = True
            raise self._fault.error
        return self._file.read(*size)
