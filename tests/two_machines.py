"""Two machines on this one: network namespaces of Linux, joined by a cable that can be pulled."""

import os
import signal
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import which
from tempfile import TemporaryFile

import pytest
from recipe_runs import ROOT, environment


def _ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


class Machine:
    """A namespace with an address of its own.

    Args:
        name: Of the namespace; None for the one that the tests run in.
        interface: Of its network.
        address: By which the others reach it.
    """

    def __init__(self, name: str | None, interface: str, address: str):
        self.name, self.interface, self.address = name, interface, address

    def start(self, command: Sequence[str], **variables: str) -> subprocess.Popen[str]:
        """Begins a command there; its output goes to `process.said`."""
        env: Mapping[str, str] = environment(GLOO_SOCKET_IFNAME=self.interface, **variables)
        said = TemporaryFile("w+", errors="replace")  # noqa: SIM115 - as long as the process is of interest
        process = subprocess.Popen(
            [*(["ip", "netns", "exec", self.name] if self.name else []), *command],
            cwd=ROOT, env=env, stdout=said, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        process.said = said  # type: ignore[attr-defined]
        return process

    def pull_the_cable(self) -> None:
        _ip("-n", self.name, "link", "set", self.interface, "down")

    def kill(self) -> None:
        """Ends all that runs there at once."""
        for process in self.processes():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def processes(self) -> list[int]:
        return [int(line) for line in _ip("netns", "pids", self.name).split()]


def said(process: subprocess.Popen[str]) -> str:
    """What a process has printed so far."""
    file = process.said  # type: ignore[attr-defined]
    return os.pread(file.fileno(), 1 << 24, 0).decode(errors="replace")


@contextmanager
def two_machines() -> Iterator[tuple[Machine, Machine]]:
    """Two machines that reach each other; the test is skipped where namespaces cannot be made."""
    key = uuid.uuid4().hex[:6]
    machines = tuple(Machine(f"tag{key}{i}", f"tag{key}v{i}", f"10.77.0.{i + 1}") for i in range(2))
    if os.geteuid() != 0 or which("ip") is None:
        pytest.skip("network namespaces need root and the command ip")
    try:
        try:
            for machine in machines:
                _ip("netns", "add", machine.name)
            first, second = machines
            _ip("link", "add", first.interface, "netns", first.name, "type", "veth",
                "peer", "name", second.interface, "netns", second.name)  # fmt: skip
            for machine in machines:
                _ip("-n", machine.name, "addr", "add", f"{machine.address}/24", "dev", machine.interface)
                for interface in ("lo", machine.interface):
                    _ip("-n", machine.name, "link", "set", interface, "up")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr.strip()}")
        yield first, second
    finally:
        for machine in machines:
            if Path("/run/netns", machine.name).exists():
                machine.kill()
                _ip("netns", "del", machine.name)
