"""Runs `replace` in forked children that are killed, or fail, at the n-th filesystem step.

A program for test_folder.py: prints, for each n, what stood in the folder afterwards, and what
stood there after a next build that nobody disturbed.
"""

import errno
import json
import os
import signal
import sys
from hashlib import sha256
from pathlib import Path

from specgen.output import folder

OLD = {"model.py": b"old model", "gone.txt": b"old only", "manifest.json": b""}
NEW = {"model.py": b"new model" * 10_000, "report.md": b"new only", "manifest.json": b""}
EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.listdir", "os.scandir"}


def with_manifest(files):
    names = {n: sha256(data).hexdigest() for n, data in files.items() if n != "manifest.json"}
    text = json.dumps({"generator": "specgen", "files": names})
    return {**files, "manifest.json": text.encode()}


OLD, NEW = with_manifest(OLD), with_manifest(NEW)


#: The exit status of a child that never came to its n-th step.
UNDISTURBED = 9


def disturb(mode, n, root):
    """Counts every step below `root`; the n-th one is the last, or fails."""
    steps = 0

    def step(what):
        nonlocal steps
        steps += 1
        if steps == n:
            if mode == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), what)

    def hook(event, args):
        if event in EVENTS and isinstance(args[0], str) and args[0].startswith(root):
            step(event)

    sys.addaudithook(hook)
    # Not audited: syncing, and the exchange of two folders.
    fsync, exchange = os.fsync, folder.exchange
    os.fsync = lambda descriptor: (step("fsync"), fsync(descriptor))
    folder.exchange = lambda a, b: (step("exchange"), exchange(a, b))[1]
    return lambda: steps >= n


def contents(path):
    if not path.is_dir():
        return None
    return {p.name: p.read_bytes() for p in path.iterdir()}


def state(path):
    found = contents(path)
    if found is None:
        return "absent"
    return "old" if found == OLD else "new" if found == NEW else "torn"


def main(mode, exchange, start, root):
    if exchange == "without":
        folder.exchange = lambda a, b: False
    results = []
    n = 0
    while True:
        n += 1
        target = Path(root, str(n), "spec", "variant")
        if start == "old":
            folder.replace(target, OLD)
        child = os.fork()
        if child == 0:
            reached = disturb(mode, n, str(root))
            try:
                folder.replace(target, NEW)
            except OSError:
                os._exit(1)
            os._exit(0 if reached() else UNDISTURBED)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        after = state(target)
        hidden = target.parent.is_dir() and any(
            contents(p) == OLD for p in target.parent.glob(".*-old-*")
        )
        folder.replace(target, NEW)
        left = sorted(os.listdir(target.parent))
        results.append([status, after, hidden, state(target), left])
        if status == UNDISTURBED:
            break
    print(json.dumps(results))


main(*sys.argv[1:])
