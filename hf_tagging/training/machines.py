"""Heartbeat between the machines of a run, so that all end soon after one has died or has lost its link.

An operation over all processes waits for a machine that does not answer until `ddp_timeout`, half an hour by default.
Here one process of each machine counts up a number in the store by which the processes have found each other, and reads
the numbers of the other machines. The processes of one machine are watched by their launcher.
"""

from __future__ import annotations

import atexit
import logging
import math
import os
import socket
import sys
import threading
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import NoReturn

from torch.distributed import TCPStore

from hf_tagging.console import GO_ON

INTERVAL = 5.0  # seconds between two beats
PATIENCE = 40.0  # seconds without a beat after which a machine counts as lost
_ENDED = 1 << 40  # added to a count: the machine's process has ended by itself

logger = logging.getLogger("hf_tagging")


class Heartbeat:
    """Beats for one machine, and watches the beats of the others.

    Args:
        machine: This machine's number.
        machines: How many there are.
        address: Host and port of the store.
        run: Name of the run, which keeps the counts of a restarted one apart.
    """

    def __init__(self, machine: int, machines: int, address: tuple[str, int], run: str):
        self.machine, self.address, self.run = machine, address, run
        # Count of each other machine, and when it was new. One that has not begun yet may take its time: importing
        # libraries from a shared disk does.
        self._last = {other: (0, math.inf) for other in range(machines) if other != machine}
        self._names: dict[int, str] = {}
        self._answered = math.inf  # when the store has done so
        self._ending = threading.Event()
        self._signed_off = threading.Event()

    def start(self) -> None:
        """Start the threads; at the end of the program they sign off."""
        for work in (self._beat, self._watch):
            threading.Thread(target=work, name=f"heartbeat {work.__name__}", daemon=True).start()
        atexit.register(self.stop)

    def stop(self) -> None:
        """Tell the other machines that no more beats will come, which takes two seconds at most."""
        self._ending.set()
        self._signed_off.wait(2)

    def lost(self) -> str:
        """Return which machine has not answered in time, and for how long; empty if all have."""
        now = time.monotonic()
        host, port = self.address
        # The store is on machine 0, and may end with it while others still write.
        if self.machine != 0 and self._last[0][0] < _ENDED and (silence := now - self._answered) > PATIENCE:
            return f"Machine 0 ({host}, port {port}) has not answered for {silence:.0f} seconds"
        for other, (count, since) in self._last.items():
            if count < _ENDED and (silence := now - since) > PATIENCE:
                return f"Machine {other} ({self._names[other]}) has not answered for {silence:.0f} seconds"
        return ""

    def _beat(self) -> None:
        store: TCPStore | None = None
        while not self._signed_off.is_set():
            is_last = self._ending.is_set()
            try:
                store = store or self._connect()
                self._exchange(store, _ENDED if is_last else 1)
            except RuntimeError as error:  # the base of all that the store raises
                logger.debug("heartbeat: %s", error)
                store = None
            if is_last:
                self._signed_off.set()
            self._ending.wait(INTERVAL)

    def _connect(self) -> TCPStore:
        host, port = self.address
        store = TCPStore(host, port, is_master=False, timeout=timedelta(seconds=INTERVAL), wait_for_workers=False)
        store.set(f"{self.run}/name/{self.machine}", socket.gethostname())
        return store

    def _exchange(self, store: TCPStore, beats: int) -> None:
        """Count up the own number, and read those of the others."""
        store.add(f"{self.run}/beats/{self.machine}", beats)
        for other, (before, _) in self._last.items():
            count = store.add(f"{self.run}/beats/{other}", 0)
            if count and other not in self._names:
                self._names[other] = store.get(f"{self.run}/name/{other}").decode()
            if count != before:
                self._last[other] = (count, time.monotonic())
        self._answered = time.monotonic()

    def _watch(self) -> None:
        while not self._ending.wait(1):
            if lost := self.lost():
                _end(lost)


def watch_machines(environment: Mapping[str, str] = os.environ) -> Heartbeat | None:
    """Start the heartbeat of this machine, if the run has several and this is the machine's first process.

    Args:
        environment: Variables that torchrun, and accelerate through it, set for the processes that they start.
    """
    machines = int(environment.get("GROUP_WORLD_SIZE", "1"))
    if machines < 2 or environment.get("LOCAL_RANK") != "0":
        return None
    run = f"hf_tagging/{environment.get('TORCHELASTIC_RUN_ID', '')}/{environment.get('TORCHELASTIC_RESTART_COUNT', 0)}"
    address = environment["MASTER_ADDR"], int(environment["MASTER_PORT"])
    heartbeat = Heartbeat(int(environment["GROUP_RANK"]), machines, address, run)
    heartbeat.start()
    return heartbeat


def _end(lost: str) -> NoReturn:
    """End this process at once: its main thread may be waiting for the machine that is lost."""
    reason = f"\n{lost}: it has died, or the link to it is down. Start the run again on all machines. {GO_ON}"
    print(reason, file=sys.stderr, flush=True)
    os._exit(1)
