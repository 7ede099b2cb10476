"""Running a foreign client as a process."""

import json
import subprocess
import threading

TIMEOUT_S = 90


class ClientFailed(Exception):
    """The client ended with an error, or did not end."""


def run(command, content=b"", timeout=TIMEOUT_S):
    """Runs a client on `content` and returns its standard output."""
    try:
        done = subprocess.run(
            [str(word) for word in command], input=content, capture_output=True, timeout=timeout
        )
    except subprocess.TimeoutExpired as late:
        said = (late.stderr or b"").decode(errors="replace")[-2000:]
        raise ClientFailed(f"{command[:4]} has not ended in {timeout} s\n{said}") from late
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode(errors="replace")[-2000:]
        raise ClientFailed(f"{command[:4]} ended with {done.returncode}:\n{said}")
    return done.stdout


def lines(objects):
    return "".join(json.dumps(each) + "\n" for each in objects).encode()


class Waiting:
    """A client that runs beside the test, until it has what it waits for."""

    def __init__(self, command, content=b""):
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        self.timer = threading.Timer(TIMEOUT_S, self.process.kill)
        self.timer.start()
        self.process.stdin.write(content)
        self.process.stdin.close()

    def until(self, stream, word):
        """Reads lines of its output ("stdout" or "stderr") up to one that holds the word."""
        for line in getattr(self.process, stream):
            if word in line:
                return
        raise ClientFailed(f"it ended without saying {word!r}")

    def rest(self):
        """What is left of its standard output, when it has ended by itself."""
        output = self.process.stdout.read()
        code = self.process.wait()
        said = self.process.stderr.read().decode(errors="replace")[-2000:]
        self.close()
        if code != 0:
            raise ClientFailed(f"it ended with {code}:\n{said}")
        return output

    def close(self):
        self.timer.cancel()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()
