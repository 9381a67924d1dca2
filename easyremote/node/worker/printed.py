"""Everything a process prints, as one sequence of texts: Python's streams and descriptors 1 and 2.

``print`` goes straight to `publish`. What C libraries and child processes write goes through a pipe
that a thread reads; a Python write first empties that pipe, so that the order is kept. What C code
holds in buffers of its own comes out when `Capture.flush` is called, at the end of a cell. A child
made by ``fork`` writes all that it prints into the pipe, which its parent reads.
``tests/node/worker/test_printed.py`` proves it.
"""

from __future__ import annotations

import codecs
import ctypes
import io
import os
import select
import sys
import threading
from collections.abc import Callable, Iterable

from easyremote.events import StreamName

__all__ = ["Capture"]

_CHUNK = 65536
_LIBC = ctypes.CDLL(None)


class _Pipe:
    """One descriptor, redirected into a pipe."""

    def __init__(
        self, target: int, name: StreamName, publish: Callable[[StreamName, str], None]
    ) -> None:
        self.name = name
        self.lock = threading.RLock()
        self._publish = publish
        self._target = target
        self._is_ours = True
        self._line = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.read_end, write_end = os.pipe()
        os.set_blocking(self.read_end, False)
        os.dup2(write_end, target)
        os.close(write_end)

    def drain(self) -> None:
        """Publish what lies in the pipe."""
        if not self._is_ours:
            return
        with self.lock:
            while True:
                try:
                    data = os.read(self.read_end, _CHUNK)
                except BlockingIOError:
                    return
                text = self._decoder.decode(data)
                if text:
                    self._publish(self.name, text)
                if len(data) < _CHUNK:
                    return

    def write(self, text: str) -> None:
        with self.lock:
            self.drain()
            self._publish(self.name, text)

    def forked(self) -> None:
        """In a child: the parent reads the pipe, and its locks may be held by its threads."""
        self.lock = threading.RLock()
        self._is_ours = False
        self._publish = self._write_lines

    def flush(self) -> None:
        """In a child: write an unfinished line as well."""
        if not self._line:
            return
        line, self._line = self._line, ""
        data = memoryview(line.encode("utf-8", "replace"))
        while data:
            data = data[os.write(self._target, data) :]

    def _write_lines(self, name: str, text: str) -> None:
        # Whole lines, so that lines of children who print at the same time are not mixed.
        self._line += text
        if "\n" in text:
            self.flush()


class _Stream(io.TextIOBase):
    """The replacement of ``sys.stdout`` and ``sys.stderr``."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, pipe: _Pipe, others: Iterable[_Pipe], descriptor: int) -> None:
        self._pipe = pipe
        self._others = tuple(others)
        self._descriptor = descriptor
        self.name = f"<{pipe.name}>"
        self.buffer = _Binary(self)

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        for other in self._others:
            other.drain()
        if text:
            self._pipe.write(text)
        return len(text)

    def writable(self) -> bool:
        return True

    def flush(self) -> None:
        self._pipe.flush()

    def fileno(self) -> int:
        """The descriptor, captured too: ``subprocess.run(..., stdout=sys.stdout)`` works."""
        return self._descriptor


class _Binary(io.RawIOBase):
    """``sys.stdout.buffer``."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]  # its stub wants Buffer, of Python 3.12
        self._stream.write(self._decoder.decode(bytes(data)))
        return len(data)

    def fileno(self) -> int:
        return self._stream.fileno()


class Capture:
    """Takes over the process's output, for good.

    Parameters
    ----------
    publish
        Called with ``"stdout"`` or ``"stderr"`` and a text, from any thread.
    """

    def __init__(self, publish: Callable[[StreamName, str], None]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self._pipes = (_Pipe(1, "stdout", publish), _Pipe(2, "stderr", publish))
        out, err = self._pipes
        sys.stdout = _Stream(out, [err], 1)
        sys.stderr = _Stream(err, [out], 2)
        threading.Thread(target=self._read, name="output", daemon=True).start()
        self._poll = select.poll()
        for pipe in self._pipes:
            self._poll.register(pipe.read_end, select.POLLIN)
            os.register_at_fork(after_in_child=pipe.forked)

    def flush(self) -> None:
        """Publish what C code and ended children have written."""
        _LIBC.fflush(None)
        has_come = {descriptor for descriptor, _ in self._poll.poll(0)}
        for pipe in self._pipes:
            if pipe.read_end in has_come:
                pipe.drain()
            pipe.flush()

    def _read(self) -> None:
        by_descriptor = {pipe.read_end: pipe for pipe in self._pipes}
        while True:
            # The write ends (1 and 2) stay open as long as the process lives: no end of file.
            for descriptor in select.select(list(by_descriptor), [], [])[0]:
                by_descriptor[descriptor].drain()
