"""Where the broker of a run keeps its files: the disk of the temporary directory, or an ext4 of its
own, mounted from an image, which can be filled to the last block."""

import errno
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

# The image is sparse, and what fills it is allocated and not written: it costs what the broker
# writes.
IMAGE_SIZE = 4 << 30
UNMOUNT_TIMEOUT_S = 30
# Larger than anything that a file system counts as free and does not give.
MOUNT_SLACK_SIZE = 1 << 20


class Unavailable(Exception):
    """Nothing can be mounted here."""


def run_as_root(*command):
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    done = subprocess.run([*prefix, *command], capture_output=True, text=True)
    if done.returncode != 0:
        raise Unavailable(f"{command[0]}: {done.stderr.strip()}")


class Own:
    """A directory of the temporary directory's file system."""

    def __init__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="ringlog-kills-own-"))

    def close(self):
        shutil.rmtree(self.directory, ignore_errors=True)


class Image:
    """An ext4 with a journal, loop-mounted."""

    def __init__(self):
        self.above = Path(tempfile.mkdtemp(prefix="ringlog-kills-image-"))
        self.image = self.above / "image"
        self.directory = self.above / "disk"
        self.directory.mkdir()
        self.ballast = self.directory / "ballast"
        with open(self.image, "wb") as file:
            file.truncate(IMAGE_SIZE)
        try:
            # Nothing is reserved for root: full is full.
            subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(self.image)], check=True)
            run_as_root("mount", "-o", "loop", str(self.image), str(self.directory))
        except (Unavailable, OSError, subprocess.CalledProcessError) as reason:
            shutil.rmtree(self.above)
            raise Unavailable(f"an image cannot be mounted: {reason}") from reason
        run_as_root("chown", str(os.geteuid()), str(self.directory))

    def fill(self, rest):
        """Takes all but `rest` bytes away."""
        facts = os.statvfs(self.directory)
        size = max(facts.f_bavail * facts.f_frsize - rest, MOUNT_SLACK_SIZE)
        with open(self.ballast, "wb") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except OSError as error:
                # What there was has been taken.
                if error.errno != errno.ENOSPC:
                    raise

    def free(self):
        self.ballast.unlink()

    def close(self):
        deadline = time.monotonic() + UNMOUNT_TIMEOUT_S
        while True:
            try:
                # The last writes of a killed process hold it for a moment.
                run_as_root("umount", str(self.directory))
                break
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        shutil.rmtree(self.above)


PLACES = {"own": Own, "journal": Image, "full": Image}
