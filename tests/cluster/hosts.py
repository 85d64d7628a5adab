"""Several hosts on one machine: network namespaces with an address each, joined by a switch that lies in one more.

Root and `ip` (iproute2) are needed: `why_not()` says what is missing. A cut here is silent, as a cable's is: no
reset, no carrier lost at either end, frames just don't come any more.
"""

import os
import shutil
import subprocess
import sys

NOBODY = "02:00:00:00:00:01"  # a hardware address that no host has


def why_not():
    """Why there can't be namespaces here; None if there can."""
    if sys.platform != "linux":
        return "namespaces need Linux"
    if os.geteuid() != 0:
        return "namespaces need root"
    if shutil.which("ip") is None:
        return "namespaces need the program ip"
    tried = subprocess.run(["ip", "netns", "add", f"bw{os.getpid()}t"], capture_output=True, text=True)
    if tried.returncode:
        return f"namespaces are not allowed here: {tried.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", f"bw{os.getpid()}t"], check=True)
    return None


class Hosts:
    """`count` hosts, which see each other and nothing else. To be closed when no process is in them any more."""

    made = 0  # how many in this process: names must differ

    def __init__(self, count):
        Hosts.made += 1
        prefix = f"bw{os.getpid()}n{Hosts.made}"
        self.names = [f"{prefix}h{i}" for i in range(count)]
        self.addresses = [f"10.77.0.{i + 1}" for i in range(count)]
        self._switch = f"{prefix}s"
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def _make(self):
        switch = self._switch
        _ip("netns", "add", switch)
        _ip("-n", switch, "link", "add", "switch", "type", "bridge")
        _ip("-n", switch, "link", "set", "switch", "up")
        for i, (host, address) in enumerate(zip(self.names, self.addresses, strict=True)):
            _ip("netns", "add", host)
            _ip("-n", switch, "link", "add", f"port{i}", "type", "veth", "peer", "name", "eth0", "netns", host)
            _ip("-n", switch, "link", "set", f"port{i}", "master", "switch", "up")
            _ip("-n", host, "address", "add", f"{address}/24", "dev", "eth0")
            _ip("-n", host, "link", "set", "eth0", "up")
            _ip("-n", host, "link", "set", "lo", "up")

    def command(self, host, words):
        """The command line that runs a command on a host."""
        return ["ip", "netns", "exec", self.names[host], *words]

    def unplug(self, host):
        """Cut a host off."""
        _ip("-n", self._switch, "link", "set", f"port{host}", "nomaster")

    def plug(self, host):
        """End what unplug() began."""
        _ip("-n", self._switch, "link", "set", f"port{host}", "master", "switch")

    def deafen(self, host, to_host):
        """Lose what a host sends to another, one way."""
        address = self.addresses[to_host]
        _ip(
            "-n", self.names[host], "neighbour", "replace", address, "lladdr", NOBODY, "dev", "eth0", "nud", "permanent"
        )

    def hear(self, host, to_host):
        """End what deafen() began."""
        address = self.addresses[to_host]
        _ip("-n", self.names[host], "neighbour", "delete", address, "dev", "eth0")

    def close(self):
        """Take all away; the links go with their namespaces."""
        for name in [*self.names, self._switch]:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode:
        msg = f"ip {' '.join(words)}: {done.stderr.strip()}"
        raise RuntimeError(msg)
