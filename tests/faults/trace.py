"""
What SQLite writes and syncs and what a client is answered, in the order in which it happens.

The usual tool, strace, is not on every machine. SQLite does all its input and output through tables
of functions (sqlite.org/c3ref/io_methods.html): here two of them, `xWrite` and `xSync`, are wrapped
in place, below everything that the kit or its driver could get wrong.
"""

import _sqlite3
import ctypes
import os
import re
from collections.abc import MutableMapping
from typing import Any

from kit.web.receiver import Receiver

TRACE = "trace.log"
MARK = re.compile(rb"msg_trace_\d+")
_OK = 0

_Open = ctypes.CFUNCTYPE(
    ctypes.c_int,
    # The name as an address: SQLite keeps it, and what it has written behind it.
    *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p),
)
_Write = ctypes.CFUNCTYPE(
    ctypes.c_int, *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64)
)
_Sync = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)


class _Vfs(ctypes.Structure):
    """`sqlite3_vfs`, as far as it is needed."""

    _fields_ = (
        ("iVersion", ctypes.c_int),
        ("szOsFile", ctypes.c_int),
        ("mxPathname", ctypes.c_int),
        ("pNext", ctypes.c_void_p),
        ("zName", ctypes.c_char_p),
        ("pAppData", ctypes.c_void_p),
        ("xOpen", ctypes.c_void_p),
    )


class _Methods(ctypes.Structure):
    """`sqlite3_io_methods`, version 3."""

    _fields_ = (
        ("iVersion", ctypes.c_int),
        ("xClose", ctypes.c_void_p),
        ("xRead", ctypes.c_void_p),
        ("xWrite", ctypes.c_void_p),
        ("xTruncate", ctypes.c_void_p),
        ("xSync", ctypes.c_void_p),
        ("others", ctypes.c_void_p * 13),
    )


class _Tracer:
    """Writes a line for each write that holds a message's id, each sync of the log, each answer."""

    def __init__(self) -> None:
        self._descriptor = os.open(TRACE, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._kept: list[Any] = []  # what C code points to must not be collected
        library = ctypes.CDLL(_sqlite3.__file__)
        library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        vfs = library.sqlite3_vfs_find(None).contents
        original = _Open(vfs.xOpen)

        def open_file(this: Any, name: Any, file: Any, flags: int, out: Any) -> int:
            code = int(original(this, name, file, flags, out))
            if code == _OK and name and ctypes.string_at(name).endswith(b"kit.db-wal"):
                self._watch(file)
            return code

        self._kept.append(_Open(open_file))
        vfs.xOpen = ctypes.cast(self._kept[-1], ctypes.c_void_p)

    def note(self, line: str) -> None:
        """Write one line, whole."""
        os.write(self._descriptor, line.encode() + b"\n")

    def _watch(self, file: int) -> None:
        methods = ctypes.cast(file, ctypes.POINTER(ctypes.POINTER(_Methods)))[0].contents
        write, sync = _Write(methods.xWrite), _Sync(methods.xSync)

        def traced_write(this: Any, data: Any, size: int, offset: int) -> int:
            for mark in MARK.findall(ctypes.string_at(data, size)):
                self.note(f"wrote {mark.decode()}")
            return int(write(this, data, size, offset))

        def traced_sync(this: Any, flags: int) -> int:
            code = int(sync(this, flags))
            self.note(f"synced {code}")
            return code

        copy = _Methods.from_buffer_copy(methods)
        callbacks = (_Write(traced_write), _Sync(traced_sync))
        copy.xWrite, copy.xSync = (ctypes.cast(each, ctypes.c_void_p) for each in callbacks)
        self._kept += (copy, callbacks)
        ctypes.cast(file, ctypes.POINTER(ctypes.c_void_p))[0] = ctypes.addressof(copy)


def trace() -> None:
    """Trace this process, whose ledger is not open yet, into `TRACE` in its working directory."""
    tracer = _Tracer()
    answer: Any = Receiver.__call__

    async def traced_answer(self: Receiver, scope: Any, receive: Any, send: Any) -> None:
        webhook_id = dict(scope["headers"])[b"webhook-id"].decode()

        async def traced_send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                tracer.note(f"answers {webhook_id} {message['status']}")
            await send(message)

        await answer(self, scope, receive, traced_send)

    receiver: Any = Receiver
    receiver.__call__ = traced_answer
