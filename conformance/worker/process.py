"""One child process and the pipes to it: send a frame, receive a frame, within a deadline.

The pipes of the protocol are the child's third and fourth, so that prints of native libraries do
no harm; what the child prints is read along and its last 64 KiB are kept, to be quoted when it
dies. This module knows frames and signals, and nothing of candidates.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import conformance
from conformance.errors import CandidateCrashed, CandidateTimeout
from conformance.raised import last_lines
from conformance.worker import wire

LOG_BYTES = 1 << 16
_LOOK_S = 0.05
"""How often to look whether the child lives: a grandchild may hold its pipes open."""
_PYTHON = (sys.executable, "-P", "-u", "-X", "faulthandler", "-c")
"""Unbuffered, and with the stack written at a crash, so that a dying child's last words arrive."""
_BOOT = (
    # Taken first from where this process took it, so that both ends are of one version; then put
    # last, so that the folder that it lies in can shadow nothing.
    "import sys; sys.path.insert(0, sys.argv[1]); import conformance; "
    "sys.path.append(sys.path.pop(0)); from conformance.worker import child; child.main()"
)


class Process:
    """A child that answers frames. Once dead it stays dead."""

    def __init__(self) -> None:
        root = str(Path(conformance.__file__).resolve().parents[1])
        request_end, self._request = os.pipe()
        self._answer, answer_end = os.pipe()
        self._log, log_end = os.pipe()
        self._tail, self._killed = bytearray(), False
        try:
            self._process = subprocess.Popen(
                [*_PYTHON, _BOOT, root, str(request_end), str(answer_end)],
                stdin=subprocess.DEVNULL,
                stdout=log_end,
                stderr=log_end,
                pass_fds=(request_end, answer_end),
                process_group=0,
            )
        finally:
            for end in (request_end, answer_end, log_end):
                os.close(end)
        for end in (self._request, self._answer, self._log):
            os.set_blocking(end, False)

    def ask(self, message: wire.Message, seconds: float) -> wire.Message:
        """Send a frame and return the frame that comes back.

        Raises:
            CandidateTimeout: no whole answer within ``seconds``; the child was killed.
            CandidateCrashed: the child died.
            MalformedOutput: what came is not a frame; the child was killed.
            Unsendable: the message itself cannot cross.
        """
        pieces = wire.encode(message)
        deadline = time.monotonic() + seconds
        try:
            for piece in pieces:
                self._send(memoryview(piece), deadline, seconds)
            return self._receive(deadline, seconds)
        except BaseException:  # Ctrl-C too: the rest of this answer would be read as the next one
            self.kill()
            raise

    def _send(self, data: memoryview, deadline: float, seconds: float) -> None:
        while data:
            self._wait(self._request, select.POLLOUT, deadline, seconds)
            try:
                data = data[os.write(self._request, data) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise self._crashed() from None

    def _receive(self, deadline: float, seconds: float) -> wire.Message:
        def exactly(count: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
            buffer = np.empty(count, np.uint8)
            self._fill(buffer.data, deadline, seconds)
            return buffer

        length = wire.header_length(exactly(wire.LENGTH.size).tobytes())
        header, slots = wire.decode_header(exactly(length).tobytes())
        arrays = {slot.name: slot.array(exactly(slot.nbytes)) for slot in slots}
        return wire.Message(header, arrays)

    def _fill(self, room: memoryview, deadline: float, seconds: float) -> None:
        while room:
            self._wait(self._answer, select.POLLIN, deadline, seconds)
            try:
                count = os.readv(self._answer, [room])
            except BlockingIOError:
                continue
            if count == 0:
                raise self._crashed()
            room = room[count:]

    def _wait(self, end: int, event: int, deadline: float, seconds: float) -> None:
        """Return when ``end`` is ready; read the child's prints meanwhile."""
        poll = select.poll()
        poll.register(end, event)
        poll.register(self._log, select.POLLIN)
        log_open, dead = True, False
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                self.kill()
                raise CandidateTimeout(
                    f"the candidate did not answer within {seconds:g} s; its process was killed. "
                    f"Give slow calls more time with --call-limit{self.last_words()}"
                )
            ready = {number for number, _ in poll.poll(1000 * min(left, _LOOK_S))}
            if self._log in ready and log_open and not self._read_log():
                poll.unregister(self._log)
                log_open = False
            if end in ready:
                return
            if dead:  # before this look already: what it wrote has been read
                raise self._crashed()
            dead = not self.alive

    @property
    def alive(self) -> bool:
        """Whether the child still runs."""
        return self._process.poll() is None

    def _read_log(self) -> bool:
        """Keep what the child printed; return whether more can come."""
        try:
            data = os.read(self._log, LOG_BYTES)
        except BlockingIOError:
            return True
        self._tail = (self._tail + data)[-LOG_BYTES:]
        return bool(data)

    def _crashed(self) -> CandidateCrashed:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)  # its pipe may close a moment before its death
        closed = self.alive
        self.kill()
        how = "closed its pipe and was killed" if closed else _ending(self._process.returncode)
        return CandidateCrashed(
            f"the candidate's process {how}; to debug it, leave out --isolate{self.last_words()}"
        )

    def kill(self) -> None:
        """Kill the child with everything in its process group; keep what it printed."""
        if self._killed:
            return
        self._killed = True
        # The group can outlive the child, and its number is not given away as long as it does.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for _ in range(LOG_BYTES // select.PIPE_BUF):  # bounded: a survivor may print for ever
            before = len(self._tail)
            if not self._read_log() or len(self._tail) == before:
                break

    def close(self, seconds: float) -> None:
        """Let the child end by itself within ``seconds``, then kill it; close the pipes."""
        self._close_request()
        deadline = time.monotonic() + seconds
        while self.alive and time.monotonic() < deadline:
            self._read_log()  # a full pipe would keep the child from ending
            time.sleep(0.002)
        self.kill()
        for end in (self._answer, self._log):
            os.close(end)

    def _close_request(self) -> None:
        if self._request >= 0:
            os.close(self._request)
            self._request = -1

    def last_words(self) -> str:
        """Return the last lines that the child printed, as an end to a message."""
        quoted = "\n  ".join(last_lines(self._tail.decode(errors="replace")))
        return f"; it printed last:\n  {quoted}" if quoted else "; it printed nothing"


def _ending(code: int) -> str:
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"died of {signal.Signals(-code).name}"
    except ValueError:
        return f"died of signal {-code}"
