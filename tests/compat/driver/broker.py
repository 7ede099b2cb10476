"""The broker under test: Ringlog's release binary on a temporary directory, or any other by its
address."""

import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from driver import wire

ROOT = Path(__file__).resolve().parents[3]
BINARY = ROOT / "target" / "release" / "ringlog"
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 60
LOG_LINE_COUNT = 30


def build():
    """Builds the release binary, as a user would."""
    command = ["cargo", "build", "--release", "--locked", "--bin", "ringlog"]
    subprocess.run(command, cwd=ROOT, check=True)
    return BINARY


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Ringlog:
    """One broker process on a directory that survives the process."""

    def __init__(self, binary=None, directory=None, overrides=()):
        self.overrides = overrides
        self.binary = binary or build()
        self.directory = Path(directory or tempfile.mkdtemp(prefix="ringlog-compat-"))
        self.address = f"127.0.0.1:{free_port()}"
        self.process = None

    @property
    def log(self):
        return self.directory / "broker.out"

    def name(self):
        done = subprocess.run([self.binary, "--version"], capture_output=True, text=True)
        return done.stdout.strip() or "ringlog"

    def start(self):
        command = [
            str(self.binary), "start",
            "-o", f"listeners=PLAINTEXT://{self.address}",
            "-o", f"log.dirs={self.directory / 'data'}",
            *(word for each in self.overrides for word in ("-o", each)),
        ]
        with open(self.log, "ab") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        alive = lambda: self.process.poll() is None
        if not wire.wait_until_answers(self.address, START_TIMEOUT_S, alive):
            self.kill()
            raise RuntimeError(f"the broker did not start:\n{self.tail()}")

    def tail(self):
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-LOG_LINE_COUNT:])

    def kill(self):
        """SIGKILL, as a crash. The directory stays."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def signal(self, number):
        self.process.send_signal(number)

    def check_alive(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"the broker ended with {self.process.returncode}:\n{self.tail()}")

    def abandon(self):
        """Ends it, in whatever state it is; the directory stays."""
        if self.process and self.process.poll() is None:
            self.kill()

    def stop(self):
        """A clean stop; the directory goes."""
        self.end()
        shutil.rmtree(self.directory)

    def end(self, expected_code=0):
        """A clean stop, by pid; the directory stays. Another exit code is an error."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"no clean stop in {STOP_TIMEOUT_S} s:\n{self.tail()}")
        if code != expected_code:
            raise RuntimeError(f"the broker ended with {code}:\n{self.tail()}")


class Running:
    """A broker that somebody else starts and stops, by its address."""

    def __init__(self, address, name=None):
        self.address = address
        self.label = name or address

    def name(self):
        return self.label

    def start(self):
        if not wire.answers(self.address):
            raise RuntimeError(f"no Kafka broker answers at {self.address}")

    def stop(self):
        pass


class Commanded:
    """A broker that is started by a command, which leaves its pid in a file: real Kafka."""

    def __init__(self, address, start_command, pid_file):
        self.address = address
        self.start_command = start_command
        self.pid_file = Path(pid_file)

    def name(self):
        return self.address

    def start(self):
        subprocess.run(self.start_command, shell=True, check=True, stdin=subprocess.DEVNULL)
        if not wire.wait_until_answers(self.address, START_TIMEOUT_S):
            raise RuntimeError(f"no broker answers at {self.address} after its start")

    def signal(self, number):
        os.kill(int(self.pid_file.read_text()), number)

    def end(self, number):
        pid = int(self.pid_file.read_text())
        # Not our child: a descriptor of the process can be waited for all the same.
        handle = os.pidfd_open(pid)
        signal.pidfd_send_signal(handle, number)
        select.select([handle], [], [], STOP_TIMEOUT_S)
        os.close(handle)

    def abandon(self):
        self.kill()

    def kill(self):
        self.end(signal.SIGKILL)

    def stop(self):
        self.end(signal.SIGTERM)
