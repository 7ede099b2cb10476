"""What is done to the broker in a round. Each leaves it running."""

import signal
import time

from confluent_kafka import KafkaError, Producer

from load import Failed

# How long a broker stays stopped, at most; below the clients' request timeout, and above it would
# only be the same retry.
STOPPED_S_MAX = 2.0
# What is left on a disk that is filled, at most.
REST_SIZE_MAX = 2 << 20
# Of a record that takes some of it.
PROBE_SIZE = 200_000
FULL_TIMEOUT_S = 180
PROBE_TIMEOUT_MS = 15_000


def kill(run):
    """SIGKILL."""
    run.target.kill()
    run.target.start()


def stop(run):
    """SIGSTOP, for a while, and on it goes."""
    run.target.signal(signal.SIGSTOP)
    time.sleep(run.moments.uniform(0, STOPPED_S_MAX))
    run.target.signal(signal.SIGCONT)


def kill_stopped(run):
    """SIGSTOP, and SIGKILL before it goes on: what the kernel had been given it finishes alone."""
    run.target.signal(signal.SIGSTOP)
    time.sleep(run.moments.uniform(0, STOPPED_S_MAX))
    kill(run)


def fill(run):
    """The disk is filled; what was read is read again meanwhile. Then there is room again, and a
    restart brings all back."""
    run.place.fill(run.moments.randrange(REST_SIZE_MAX))
    wait_until_refused(run)
    run.load.look_back()
    run.target.check_alive()
    run.place.free()
    if run.moments.random() < 0.5:
        run.target.kill()
    else:
        # It says that its stop was not a clean one.
        run.target.end(expected_code=1)
    run.target.start()


def wait_until_refused(run):
    """Until a record is answered with KAFKA_STORAGE_ERROR, in all partitions. A machine that is busy
    may take long for an answer, so what comes late is asked for again."""
    deadline = time.monotonic() + FULL_TIMEOUT_S
    for partition in range(run.wanted.partitions):
        while (answer := probe(run, partition)) != KafkaError.KAFKA_STORAGE_ERROR:
            if answer not in (None, KafkaError._MSG_TIMED_OUT):
                run.target.check_alive()
                said = run.target.tail()
                raise Failed(f"partition {partition} says {answer} of a full disk; the broker: {said}")
            if time.monotonic() > deadline:
                raise Failed(f"partition {partition} of a full disk says {answer}")


def probe(run, partition):
    """The error code of one record, `None` if it was taken."""
    codes = []
    producer = Producer({
        "bootstrap.servers": run.target.address, "acks": "all", "retries": 0, "log_level": 2,
        "message.timeout.ms": PROBE_TIMEOUT_MS,
    })
    producer.produce(
        run.probe_topic, bytes(PROBE_SIZE), partition=partition,
        on_delivery=lambda error, _: codes.append(error and error.code()),
    )
    producer.flush()
    return codes[0]


# Each with shallow and with deep queues, one after the other.
OF_PLACE = {
    "own": (kill, stop, kill_stopped), "journal": (kill, stop, kill_stopped),
    "full": (fill, fill, kill),
}
