"""`python -m bytewax.run -p N`: the parent, and what its children are given. Most children here run no dataflow."""

import fcntl
import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from bytewax import _local_cluster

TIME_LIMIT_S = 30
RUN = [sys.executable, "-m", "bytewax.run", "child"]
PRELUDE = """
import json, os, signal, subprocess, sys, time

def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\\n")
    sys.stdout.flush()

def is_first():  # of the children that ask
    try:
        os.close(os.open("first", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True
"""
SLEEP = """
say("ready", os.getpid())
time.sleep(600)
"""


@pytest.fixture
def local(program, tmp_path):
    """Return a function that starts a local cluster whose children run a program, and then are over."""

    def local(text, *words, processes=2, run=RUN, **kwargs):
        (tmp_path / "child.py").write_text(f"{PRELUDE}{text}\nsys.exit()\n")
        return program([*run, "-p", str(processes), *words], **kwargs)

    return local


def pids_of(process, count=2):
    """Wait until all children are ready, and return their process ids."""
    process.stdout.wait_for("ready", times=count)
    return [int(line.split()[1]) for line in process.stdout.lines if line.startswith("ready")]


def is_running(pid):
    """Whether there is such a process; one that nobody has waited for yet has ended too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(is_true):
    deadline = time.monotonic() + TIME_LIMIT_S
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_until_gone(pids):
    wait_until(lambda: not any(map(is_running, pids)))


# --- output -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("processes", [2, 4])
def test_the_lines_of_children_come_whole(local, processes):
    text = """
for number in range(1000):
    for part in (f"{os.getpid()} ", "x" * (number % 300), f" {number}\\n"):  # in pieces, each written at once
        sys.stdout.write(part)
        sys.stdout.flush()
        sys.stderr.write(part)
        sys.stderr.flush()
"""
    process = local(text, processes=processes)
    assert process.wait() == 0
    for output in (process.stdout, process.stderr):
        by_pid = {}
        for line in output.lines:
            pid, xs, number = line.split(" ")
            assert xs == "x" * (int(number) % 300)
            by_pid.setdefault(pid, []).append(int(number))
        assert list(by_pid.values()) == [list(range(1000))] * processes


def test_both_streams_into_one_pipe_are_not_mixed_either(local, tmp_path):
    text = """
for number in range(1000):
    for stream in (sys.stdout, sys.stderr):
        for part in ("begin ", "x" * 5000, " end\\n"):
            stream.write(part)
            stream.flush()
"""
    local(text).close()
    done = subprocess.run([*RUN, "-p2"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    assert done.stdout.splitlines() == [b"begin " + b"x" * 5000 + b" end"] * 4000


@pytest.mark.parametrize(
    "output", [b"no newline", b"\n\n", b"a\nb", b"\xff\x00\n\xfe", b"x" * 1_000_000, b"x" * 65_536 + b"\ny"], ids=len
)
def test_output_comes_byte_by_byte_as_it_was_written(local, tmp_path, output):
    (tmp_path / "output").write_bytes(output)
    text = """
if is_first():
    output = open("output", "rb").read()
    sys.stdout.buffer.write(output)
    sys.stderr.buffer.write(output)
"""
    local(text).close()
    (tmp_path / "first").unlink(missing_ok=True)
    done = subprocess.run([*RUN, "-p2"], cwd=tmp_path, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, output, output)


def test_a_line_comes_while_the_child_goes_on(local):
    process = local(SLEEP)
    pids_of(process)  # which waits for them
    assert process.popen.poll() is None


@pytest.mark.parametrize("is_terminal", [True, False], ids=["terminal", "pipe"])
def test_children_write_line_by_line_to_a_terminal(local, tmp_path, is_terminal):
    local('say(sys.stdout.line_buffering or "-u" in sys.orig_argv)').close()
    ours, theirs = pty.openpty() if is_terminal else os.pipe()
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with os.fdopen(ours, "rb", 0) as reader:
        parent = subprocess.Popen([*RUN, "-p2"], cwd=tmp_path, stdout=theirs, env=env)
        os.close(theirs)
        output = b""
        try:
            while part := reader.read(1000):
                output += part
        except OSError:  # EIO: the end of a terminal
            pass
    assert parent.wait(TIME_LIMIT_S) == 0
    assert output.split() == [str(is_terminal).encode()] * 2


def test_a_process_that_a_child_leaves_behind_does_not_hold_up_the_parent(local, tmp_path):
    text = """
left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
say("left", left.pid)
"""
    local(text).close()
    with open(tmp_path / "output", "wb") as output:
        assert subprocess.run([*RUN, "-p2"], cwd=tmp_path, stdout=output, timeout=TIME_LIMIT_S).returncode == 0
    for line in (tmp_path / "output").read_text().splitlines():
        os.kill(int(line.split()[1]), signal.SIGKILL)


ENDLESS = """
while True:
    print("line")
"""


def test_a_reader_that_leaves_ends_all_quietly(local, tmp_path):
    local(ENDLESS).close()
    words = f"{sys.executable} -m bytewax.run child -p 2 | head -n 3; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", words], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("line\nline\nline\n1\n", "")


def test_a_full_disk_ends_all_with_an_error(local, tmp_path):
    local(ENDLESS).close()
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*RUN, "-p2"], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert "bytewax.run: can't write to the standard output: No space left on device\n" in done.stderr


def test_output_that_is_lost_at_the_end_is_an_error_too(local, tmp_path):
    local('print("line")').close()
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*RUN, "-p2"], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "bytewax.run: can't write to the standard output: No space left on device\n"


def test_a_closed_stdout_drops_the_output(local, tmp_path):
    local("print('dropped'); print('kept', file=sys.stderr)").close()
    words = f"exec {sys.executable} -m bytewax.run child -p 2 <&- >&-"
    done = subprocess.run(["sh", "-c", words], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "kept\nkept\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)])
def test_a_stdout_that_nobody_reads_holds_up_no_signal(local, tmp_path, number, code):
    local(ENDLESS).close()
    reader, writer = os.pipe()
    try:
        parent = subprocess.Popen([*RUN, "-p2"], cwd=tmp_path, stdout=writer, stderr=subprocess.DEVNULL)
        poller = select.poll()
        poller.register(writer, select.POLLOUT)
        wait_until(lambda: not poller.poll(0))
        parent.send_signal(number)
        assert parent.wait(TIME_LIMIT_S) == code
    finally:
        os.close(reader)
        os.close(writer)


# --- exit codes and signals ---------------------------------------------------------------------------


def through_shell(text, tmp_path):
    """Run commands in a shell with job control, as a user's: it starts each in a process group, SIGINT not ignored."""
    run = f"{sys.executable} -m bytewax.run child -p 2"
    done = subprocess.run(
        ["bash", "-c", f"set -m\nrun='{run}'\n{text}"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    return done.stdout, done.stderr


def test_all_well_is_0(local, tmp_path):
    local("").close()
    assert through_shell("$run; echo $?", tmp_path) == ("0\n", "")


def test_a_child_that_fails_is_1(local, tmp_path):
    local("assert not is_first()").close()
    (tmp_path / "first").unlink(missing_ok=True)
    stdout, stderr = through_shell("$run; echo $?", tmp_path)
    assert stdout == "1\n"
    assert stderr.count("AssertionError") == 1
    assert "bytewax.run:" not in stderr  # it has said so itself


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "was killed by SIGKILL"),
        ("os.abort()", "was killed by SIGABRT"),
        ("os._exit(7)", "exited with code 7"),
    ],
)
def test_a_child_that_ends_without_a_word_is_named(local, tmp_path, end, said):
    local(f"if is_first():\n    {end}").close()
    (tmp_path / "first").unlink(missing_ok=True)
    stdout, stderr = through_shell("$run; echo $?", tmp_path)
    assert stdout == "1\n"
    assert stderr.startswith(("bytewax.run: process 0 (pid ", "bytewax.run: process 1 (pid "))
    assert stderr.endswith(f") {said}\n")


@pytest.mark.parametrize(("name", "code"), [("INT", 130), ("TERM", 143)])
def test_a_signal_to_the_parent_ends_all(local, tmp_path, name, code):
    local(SLEEP).close()
    text = f"""
touch out
$run > out &
while [ "$(grep -c ready out)" != 2 ]; do sleep 0.02; done
kill -{name} %1
wait %1
echo $?
"""
    stdout, stderr = through_shell(text, tmp_path)
    assert stdout == f"{code}\n"
    is_said = "KeyboardInterrupt: interrupt signal received, all processes have been shut down" in stderr
    assert is_said == (name == "INT")
    assert stderr.count("Traceback") == (name == "INT")
    pids = [int(line.split()[1]) for line in (tmp_path / "out").read_text().splitlines()]
    assert not any(map(is_running, pids))


def test_an_interrupt_that_is_ignored_stays_so(local, tmp_path):
    """As a shell without job control has it for what runs in the background."""
    process = local(SLEEP, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    pids = pids_of(process)
    process.send(signal.SIGINT)
    process.send(signal.SIGTERM)  # which comes behind it
    assert process.wait() == 143
    assert "KeyboardInterrupt" not in process.stderr.text
    wait_until_gone(pids)


INTERRUPTED_ONCE = """
try:
    say("ready", os.getpid())
    time.sleep(600)
except KeyboardInterrupt:
    say("begins")
    time.sleep(0.3)  # where a second interrupt would come
    say("cleaned up")
"""


def test_ctrl_c_in_a_terminal_is_one_interrupt_for_each_child(local, tmp_path):
    local(INTERRUPTED_ONCE).close()
    ours, theirs = pty.openpty()

    def take_terminal():
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    parent = subprocess.Popen(
        [*RUN, "-p2"], cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=take_terminal
    )
    os.close(theirs)
    output = read_until(ours, lambda output: output.count(b"ready") == 2)
    os.write(ours, b"\x03")
    output += read_until(ours, lambda output: False)
    os.close(ours)
    assert parent.wait(TIME_LIMIT_S) == -signal.SIGINT
    assert output.count(b"begins") == output.count(b"cleaned up") == 2
    assert output.count(b"Traceback") == output.count(b"KeyboardInterrupt: ") == 1


def read_until(fd, is_enough):
    output = b""
    while not is_enough(output):
        ready, _, _ = select.select([fd], [], [], TIME_LIMIT_S)
        assert ready, output
        try:
            part = os.read(fd, 1000)
        except OSError:  # EIO: the end of a terminal
            break
        if not part:
            break
        output += part
    return output


STUBBORN = """
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: say("had", number))
say("ready", os.getpid())
while True:
    time.sleep(600)
"""


def test_a_second_interrupt_kills_what_has_not_ended(local):
    process = local(STUBBORN)
    pids = pids_of(process)
    process.send(signal.SIGINT)
    process.stdout.wait_for("had 2", times=2)
    wait_until(lambda: process.popen.poll() is not None or process.send(signal.SIGINT))
    assert process.wait() == -signal.SIGINT
    assert "sending SIGKILL" not in process.stderr.text  # as after a while
    wait_until_gone(pids)


def test_an_interrupt_that_comes_twice_at_once_kills_nobody(local):
    process = local(INTERRUPTED_ONCE)
    pids_of(process)
    process.send(signal.SIGINT)
    process.send(signal.SIGINT)
    assert process.wait() == -signal.SIGINT
    assert process.stdout.lines.count("cleaned up") == 2


# The parent with less patience than it has.
HASTY = """
import runpy, sys
import bytewax._local_cluster
bytewax._local_cluster._AFTER_{what}_S = {seconds}
sys.argv[0] = "run"
runpy.run_module("bytewax.run", run_name="__main__")
"""


@pytest.mark.parametrize(
    ("number", "code", "name"), [(signal.SIGINT, -signal.SIGINT, "SIGINT"), (signal.SIGTERM, 143, "SIGTERM")]
)
def test_children_that_do_not_end_are_killed(local, number, code, name):
    process = local(STUBBORN, run=[sys.executable, "-c", HASTY.format(what=name, seconds=0.2), "child"])
    pids = pids_of(process)
    process.send(number)
    assert process.wait() == code
    assert f"has not ended since {name} was sent: sending SIGKILL" in process.stderr.text
    wait_until_gone(pids)


def test_children_that_stay_when_another_one_failed_are_killed(local):
    text = f"if is_first():\n    say('ready', os.getpid())\n    os._exit(1)\n{STUBBORN}"
    process = local(text, run=[sys.executable, "-c", HASTY.format(what="FAILURE", seconds=(0.2, 0.4)), "child"])
    pids = pids_of(process)
    assert process.wait() == 1
    for name in ("SIGTERM", "SIGKILL"):
        assert f"has not ended since another one failed: sending {name}" in process.stderr.text
    assert "was killed by SIGKILL" in process.stderr.text
    wait_until_gone(pids)


def test_children_end_with_a_parent_that_is_killed(local):
    process = local(STUBBORN)
    pids = pids_of(process)
    process.kill()
    wait_until_gone(pids)


def test_children_end_with_a_parent_that_is_killed_even_where_they_hold_the_interpreter(local):
    process = local('say("ready", os.getpid()); sum(range(10**13))')
    pids = pids_of(process)
    process.kill()
    wait_until_gone(pids)


def test_a_stopped_child_is_killed_all_the_same(local):
    process = local(SLEEP, run=[sys.executable, "-c", HASTY.format(what="SIGTERM", seconds=0.2), "child"])
    pids = pids_of(process)
    os.kill(pids[0], signal.SIGSTOP)
    process.send(signal.SIGTERM)
    assert process.wait() == 143
    wait_until_gone(pids)


@pytest.mark.parametrize(("number", "said"), [(signal.SIGINT, "SIGINT"), (signal.SIGTERM, "SIGTERM")])
def test_a_signal_to_one_child_is_a_failure(local, number, said):
    process = local(SLEEP, run=[sys.executable, "-c", HASTY.format(what="FAILURE", seconds=(0.2, 0.4)), "child"])
    pids = pids_of(process)
    os.kill(pids[0], number)
    assert process.wait() == 1
    assert f"(pid {pids[0]}) was ended by {said}" in process.stderr.text
    wait_until_gone(pids)


# --- what a child is given ----------------------------------------------------------------------------


LOOK = """
def read(path):
    with open(path, "rb") as file:
        return file.read().decode(errors="replace")

def fds(pid):
    return {int(fd): os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd") if int(fd) > 2 and os.path.lexists(f"/proc/{pid}/fd/{fd}")}

grandchild = subprocess.run(
    [sys.executable, "-c", "import os; print(sorted(int(fd) for fd in os.listdir('/proc/self/fd') if int(fd) > 2))"],
    capture_output=True, text=True, close_fds=False,
)
say(json.dumps({
    "argv": [read("/proc/self/cmdline"), read(f"/proc/{os.getppid()}/cmdline")],
    "environ": [read("/proc/self/environ"), read(f"/proc/{os.getppid()}/environ")],
    "variables": [name for name in os.environ if name.startswith("__BYTEWAX")],
    "fds": fds("self"),
    "grandchild": grandchild.stdout,
    "flags": sys.orig_argv,
}))
"""


@pytest.fixture
def looks(local):
    process = local(LOOK, run=[sys.executable, "-X", "utf8", "-m", "bytewax.run", "child"])
    assert process.wait() == 0, process
    looks = [json.loads(line) for line in process.stdout.lines]
    assert len(looks) == 2
    return looks


def test_a_child_is_the_same_command_line(looks):
    for look in looks:
        assert look["flags"][1:] == ["-X", "utf8", "-m", "bytewax.run", "child", "-p", "2"]


def test_the_secret_is_gone_before_code_of_the_user_runs(looks, monkeypatch):
    for look in looks:
        assert look["variables"] == []
        pipes = [target for target in look["fds"].values() if target.startswith("pipe:")]
        assert len(pipes) == 1  # which tells that the parent lives, and holds nothing
        sockets = [target for target in look["fds"].values() if target.startswith("socket:")]
        assert len(sockets) == 1
        for texts in (look["argv"], look["environ"]):
            assert not any(is_hex(word) for text in texts for word in text.replace("=", "\0").split("\0"))


def is_hex(word):
    return len(word) >= 64 and all(character in "0123456789abcdef" for character in word)


def test_what_a_child_starts_inherits_nothing(looks):
    # The list itself is read through a descriptor: the only one above 2.
    assert [look["grandchild"] for look in looks] == ["[3]\n"] * 2


def test_a_cluster_inside_a_child_is_one_of_its_own(local, tmp_path):
    """What says that a process is a child is not inherited by what it starts."""
    (tmp_path / "inner.py").write_text("import sys\nprint('inner')\nsys.exit()\n")
    text = 'subprocess.run([sys.executable, "-m", "bytewax.run", "inner", "-p", "2"], check=True)'
    process = local(text)
    assert process.wait() == 0, process
    assert process.stdout.lines == ["inner"] * 4


def test_a_child_starts_no_cluster(local):
    text = """
from bytewax.dataflow import Dataflow
from bytewax.run import cli_main
try:
    cli_main(Dataflow(), processes=2)
except RuntimeError as ex:
    say(ex)
"""
    process = local(text)
    assert process.wait() == 0, process
    assert process.stdout.lines == ["this is a process of a local cluster already, and can't run another one"] * 2


# --- ports and descriptors ----------------------------------------------------------------------------


def test_ports_are_those_from_2101_where_they_are_free():
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind(("127.0.0.1", 2102))
            holder.listen()
        except OSError:
            pass  # somebody else has it: as good
        sockets = _local_cluster.bind_local(3)
        try:
            ports = [listener.getsockname()[1] for listener in sockets]
            assert len(set(ports)) == 3
            assert ports[1] != 2102
            for listener in sockets:
                assert listener.getsockname()[0] == "127.0.0.1"
                socket.create_connection(listener.getsockname()).close()
        finally:
            _local_cluster.close_all(sockets)


def test_local_clusters_side_by_side_do_not_meet(local):
    first, second = local(SLEEP), local(SLEEP)
    assert len(set(pids_of(first) + pids_of(second))) == 4
    for process in (first, second):
        process.send(signal.SIGTERM)
        assert process.wait() == 143


def test_nothing_is_left_in_a_program_that_runs_clusters(program, tmp_path):
    (tmp_path / "twice.py").write_text(
        f"""{PRELUDE}
from bytewax import _local_cluster
if _local_cluster.take_place() is None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    for _ in range(3):
        assert _local_cluster.run_children(2) == []
        say(sorted(os.listdir("/proc/self/fd")))
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            say("no child")
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert signal.set_wakeup_fd(-1) == -1
"""
    )
    process = program([sys.executable, "twice.py"])
    assert process.wait() == 0, process
    fds, *_ = lines = process.stdout.lines
    assert lines == [fds, "no child"] * 3


def test_no_descriptors_left_is_an_error_and_leaves_no_child(program, tmp_path):
    (tmp_path / "few.py").write_text(
        f"""{PRELUDE}
import resource
from bytewax import _local_cluster
if _local_cluster.take_place() is not None:
    time.sleep(600)
resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))
try:
    _local_cluster.run_children(8)
except OSError as ex:
    say(ex.strerror)
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    say("no child")
"""
    )
    process = program([sys.executable, "few.py"])
    assert process.wait() == 0, process
    assert process.stdout.lines == ["Too many open files", "no child"]


def test_an_interactive_session_is_not_started_again(program):
    text = """
from bytewax.dataflow import Dataflow
from bytewax.run import cli_main
try:
    cli_main(Dataflow(), processes=2)
except RuntimeError as ex:
    print(ex)
"""
    done = subprocess.run([sys.executable, "-"], input=text, capture_output=True, text=True, timeout=60)
    assert "an interactive session can't be started again" in done.stdout, done.stderr


def test_a_wrong_time_is_said_once_and_no_child_started(local):
    process = local("say('started')", env={"BYTEWAX_CLUSTER_TIMEOUT": "soon"})
    assert process.wait() == 2
    assert process.stdout.lines == []
    assert process.stderr.text.count("BYTEWAX_CLUSTER_TIMEOUT: expected a number of seconds; got 'soon'") == 1


# --- with a dataflow ----------------------------------------------------------------------------------


FLOW = """
import os, signal, sys, threading, time
from bytewax.connectors.stdio import StdOutput
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicInput, StatelessSource
from bytewax.testing import TestingInput, TestingOutput

class Idle(StatelessSource):
    def next(self):
        return None

class IdleInput(DynamicInput):
    def build(self, worker_index, worker_count):
        return Idle()

def count(total, item):
    return total + 1, f"{item} {total} by {threading.current_thread().name} of {os.getpid()}"

def make(*args):
    flow = Dataflow()
    flow.input("inp", TestingInput([letter for letter in "abcdefghijklmnopqrstuvwxyz" for _ in range(5)]))
    flow.map(lambda item: (item, item))
    flow.stateful_map("count", int, count)
    flow.map(lambda pair: pair[1])
    flow.output("out", StdOutput())
    return flow

def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\\n")
    sys.stdout.flush()

flow = make()
"""
COUNTS = sorted(f"{letter} {number}" for letter in "abcdefghijklmnopqrstuvwxyz" for number in range(5))
# Every worker says that it runs, and then goes on for ever.
RUNNING = """
class Ready(Idle):
    is_said = False
    def next(self):
        if not self.is_said:
            self.is_said = True
            return "ready"
class ReadyInput(DynamicInput):
    def build(self, worker_index, worker_count):
        return Ready()
flow = Dataflow()
flow.input("inp", ReadyInput())
flow.inspect(lambda item: say("ready", os.getpid()))
flow.output("out", TestingOutput([]))
"""


@pytest.fixture
def flow(program, tmp_path):
    """Return a function that starts `python -m bytewax.run` on a file with a dataflow."""

    def flow(*words, text="", **kwargs):
        (tmp_path / "file.py").write_text(FLOW + text)
        return program([sys.executable, "-m", "bytewax.run", *map(str, words)], **kwargs)

    return flow


def counts_of(*processes):
    """Wait for the end of a run; return what was counted, and on which workers of which processes."""
    lines = []
    for process in processes:
        assert process.wait() == 0, process
        lines += [line.split(" by ") for line in process.stdout.lines]
    return sorted(what for what, _ in lines), {who for _, who in lines}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_dataflow_gives_the_same_on_several_processes(flow, workers):
    counts, workers_of = counts_of(flow("file", "-p", 2, "-w", workers))
    assert counts == COUNTS
    assert len({who.split()[2] for who in workers_of}) == 2
    names = {who.split()[0] for who in workers_of}
    assert names == {f"bytewax:worker-{index}" for index in range(2 * workers)}


@pytest.mark.parametrize(
    ("words", "env"),
    [
        (["file.py", "-d", "make", "--dataflow-args", "x", "-p", "2"], {}),
        (["file.py", "-d", "flow", "-p", "2", "-w", "2", "--epoch-interval", "0"], {}),
        (["file:make()", "--processes", "2"], {}),
        (["file"], {"BYTEWAX_PROCESSES": "2", "BYTEWAX_WORKERS_PER_PROCESS": "2"}),
    ],
    ids=str,
)
def test_each_command_line_runs_several_processes(flow, words, env):
    counts, workers_of = counts_of(flow(*words, env=env))
    assert counts == COUNTS
    assert len({who.split()[2] for who in workers_of}) == 2


def test_a_secret_of_the_environment_is_not_that_of_a_local_cluster(flow):
    env = {"BYTEWAX_CLUSTER_SECRET_FILE": "/no/such/file", "BYTEWAX_CLUSTER_TLS_CERT": "/no/such/file"}
    assert counts_of(flow("file", "-p", 2, env=env))[0] == COUNTS


def test_processes_are_started_by_hand(flow, free_ports):
    addresses = ";".join(f"127.0.0.1:{port}" for port in free_ports(2))
    processes = [flow("file", "-i", index, "-a", addresses, "-w", 2) for index in (1, 0)]
    counts, workers_of = counts_of(*processes)
    assert counts == COUNTS
    assert {who.split()[0] for who in workers_of} == {f"bytewax:worker-{index}" for index in range(4)}


def test_processes_are_started_by_a_stateful_set(flow, free_ports, tmp_path):
    (tmp_path / "hosts").write_text("".join(f"localhost:{port}\n\n" for port in free_ports(2)))
    env = {"BYTEWAX_HOSTFILE_PATH": "hosts", "BYTEWAX_STATEFULSET_NAME": "my-flow", "BYTEWAX_CLUSTER_SECRET": "s3cret"}
    processes = [flow("file", env={**env, "BYTEWAX_POD_NAME": f"my-flow-{index}"}) for index in range(2)]
    assert counts_of(*processes)[0] == COUNTS


def test_processes_by_hand_are_refused_without_a_secret_where_others_can_connect(flow):
    process = flow("file", "-i", 0, "-a", "127.0.0.1:2101;192.0.2.7:2101")
    assert process.wait() == 1
    assert "the cluster has no secret" in process.stderr.text


def test_an_exception_is_said_once_and_every_process_says_where_it_was(flow):
    text = "flow.map(lambda line: 1 // ('c 2' not in line))\nflow.output('more', TestingOutput([]))\n"
    process = flow("file", "-p", 3, text=text)
    assert process.wait() == 1
    lines = process.stderr.lines
    printed = [line for line in lines if "> Caused by => ZeroDivisionError: " in line]
    assert len(printed) == 1, process
    ours = sorted(line for line in lines if line.startswith("bytewax.run:"))
    assert [line.split()[2] for line in ours] == ["0:", "1:", "2:"]
    assert all("in or after step 'count'" in line for line in ours)
    assert len(ours) + len([line for line in lines if line.startswith("<bytewax:worker-")]) == len(lines)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT])
def test_a_child_that_is_killed_ends_the_others(flow, number):
    process = flow("file", "-p", 3, text=RUNNING)
    pids = pids_of(process, 3)
    os.kill(pids[1], number)
    assert process.wait() == 1
    killed = [line for line in process.stderr.lines if f"(pid {pids[1]}) was killed by {number.name}" in line]
    assert len(killed) == 1, process
    victim = killed[0].split()[2]
    lost = [line for line in process.stderr.lines if f"process {victim} (" in line and "went away" in line]
    assert len(lost) >= 1, process
    wait_until_gone(pids)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("phase", ["connecting", "running"])
def test_signals_while_it_connects_and_while_it_runs(flow, tmp_path, number, code, phase):
    text = RUNNING
    if phase == "connecting":  # one process never comes
        text = (
            """
try:
    os.close(os.open("first", os.O_CREAT | os.O_EXCL))
except FileExistsError:
    time.sleep(600)
"""
            + 'say("ready", os.getpid())\n'
        )
    process = flow("file", "-p", 2, text=text)
    pids = pids_of(process, 2 if phase == "running" else 1)
    process.send(number)
    assert process.wait() == code
    assert "Traceback" not in process.stderr.text or number == signal.SIGINT
    wait_until_gone(pids)
