"""Real Kafka, a single node in KRaft mode, from the artifacts that tests/compat/install has fetched."""

import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from driver import wire
from driver.broker import free_port
from driver.clients import TOOLS

START_TIMEOUT_S = 120
STOP_TIMEOUT_S = 60
CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"


def java(main, *arguments):
    return [
        "java", "-Xmx512M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
        "-cp", f"{TOOLS / 'kafka'}/*", main, *arguments,
    ]


class Kafka:
    """Brokers that come one after the other, each on a log directory that survives it."""

    def __init__(self, overrides=()):
        self.directory = Path(tempfile.mkdtemp(prefix="kafka-compat-"))
        self.overrides = overrides
        self.address = f"127.0.0.1:{free_port()}"
        self.controller = f"127.0.0.1:{free_port()}"
        self.process = None

    @property
    def log(self):
        return self.directory / "kafka.out"

    def properties(self, data):
        own = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.bootstrap.servers": self.controller,
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://{self.controller}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": data,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
        }
        path = self.directory / "server.properties"
        lines = [*(f"{key}={value}" for key, value in own.items()), *self.overrides]
        path.write_text("\n".join(lines) + "\n")
        return path

    def format(self, data):
        command = java(
            "kafka.tools.StorageTool", "format", "--standalone", "-t", CLUSTER_ID,
            "-c", str(self.properties(data)),
        )
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def start(self, data):
        command = java("kafka.Kafka", str(self.properties(data)))
        with open(self.log, "ab") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        alive = lambda: self.process.poll() is None
        if not wire.wait_until_answers(self.address, START_TIMEOUT_S, alive):
            self.kill()
            said = self.log.read_text(errors="replace")
            raise RuntimeError(f"Kafka did not start:\n{said[-3000:]}")

    def stop(self):
        """A clean stop; the directory stays."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(STOP_TIMEOUT_S)
        self.process = None

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def remove(self):
        shutil.rmtree(self.directory)


class OneKafka(Kafka):
    """Real Kafka on a fresh directory that goes with it."""

    def name(self):
        return "Kafka 4.1.1"

    def start(self):
        data = tempfile.mkdtemp(prefix="data-", dir=self.directory)
        self.format(data)
        super().start(data)

    def stop(self):
        """At once: a clean stop of thousands of logs takes long, and nothing is kept."""
        self.kill()
        self.remove()


class KeptKafka(Kafka):
    """Real Kafka on one directory, killed and started again on it."""

    def __init__(self, overrides=()):
        super().__init__(overrides)
        self.data = self.directory / "data"

    def name(self):
        return "Kafka 4.1.1"

    def start(self):
        if not self.data.exists():
            self.format(self.data)
        super().start(self.data)

    def signal(self, number):
        self.process.send_signal(number)

    def abandon(self):
        self.kill()
        self.remove()
