"""`_engine._die_with`: a process that does not outlive the one that holds the other end of its pipe."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from bytewax import _engine

TIME_LIMIT_S = 30
CHILD = """
import os, signal, sys, time
from bytewax import _engine
fd = int(sys.argv[1])
_engine._die_with(fd)
print("ready", os.get_inheritable(fd), flush=True)
"""


@pytest.fixture
def held():
    """Return a function that starts a program whose life hangs on a pipe; it returns the program and the write end."""
    programs, ends = [], []

    def start(program):
        read_end, write_end = os.pipe()
        ends.append(write_end)
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD + program, str(read_end)],
            pass_fds=[read_end],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        os.close(read_end)
        programs.append(process)
        assert process.stdout.readline() == "ready False\n"
        return process, write_end

    yield start
    for process in programs:
        process.kill()
        process.communicate()
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


@pytest.mark.parametrize(
    "doing",
    ["time.sleep(600)", "while True: pass", "signal.pthread_sigmask(signal.SIG_BLOCK, {2, 15}); time.sleep(600)"],
)
def test_a_process_dies_with_the_other_end(held, doing):
    process, write_end = held(doing)
    os.close(write_end)
    assert process.wait(TIME_LIMIT_S) == -signal.SIGKILL


def test_it_lives_while_the_other_end_does(held):
    process, write_end = held("print(input(), flush=True)")
    os.write(write_end, b"what is written is of no use")
    process.stdin.write("still here\n")
    process.stdin.flush()
    assert process.stdout.readline() == "still here\n"
    assert process.wait(TIME_LIMIT_S) == 0


def test_a_signal_is_still_its_own(held):
    process, _ = held(
        'signal.signal(signal.SIGTERM, lambda *args: sys.exit(3)); print("set", flush=True); time.sleep(600)'
    )
    assert process.stdout.readline() == "set\n"
    process.terminate()
    assert process.wait(TIME_LIMIT_S) == 3


def test_what_is_no_descriptor_is_refused():
    with pytest.raises(OSError, match="Bad file descriptor"):
        _engine._die_with(1 << 20)
    with pytest.raises(ValueError, match="negative"):
        _engine._die_with(-1)
    with pytest.raises(TypeError):
        _engine._die_with("3")
