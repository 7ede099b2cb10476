"""What the Python clients' programs share: the JSON lines of docs/clients.md."""

import base64
import json
import sys


def decode(text):
    return None if text is None else base64.b64decode(text)


def encode(content):
    return None if content is None else base64.b64encode(content).decode()


def emit(answer):
    print(json.dumps(answer), flush=True)


def run(version, **commands):
    """Runs the command that the command line names, on the options and lines of standard input."""
    command = sys.argv[1] if len(sys.argv) == 2 else None
    if command == "version":
        print(version)
    elif command in commands:
        commands[command](json.loads(sys.stdin.readline()), sys.stdin)
    else:
        sys.exit(f"usage: client.py version|{'|'.join(commands)}")
