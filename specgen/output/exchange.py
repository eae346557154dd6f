"""Two folders change places in one system call, where the system has one.

Knows Linux (renameat2) and macOS (renamex_np); elsewhere it says that it cannot.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

AT_FDCWD = -100  # Linux: paths are relative to the working folder
RENAME_EXCHANGE = 2  # Linux
RENAME_SWAP = 2  # macOS

#: The call is missing, or this file system does not support it.
UNSUPPORTED = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP})


def exchange(first: Path, second: Path) -> bool:
    """Exchanges two folders atomically; False where that is not possible here.

    Raises:
        OSError: the system can, but did not; nothing has changed.
    """
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "linux":
            status = libc.renameat2(
                AT_FDCWD, os.fsencode(first), AT_FDCWD, os.fsencode(second), RENAME_EXCHANGE
            )
        elif sys.platform == "darwin":
            status = libc.renamex_np(os.fsencode(first), os.fsencode(second), RENAME_SWAP)
        else:
            return False
    except (AttributeError, OSError, TypeError):  # no such function in this C library
        return False
    if status == 0:
        return True
    code = ctypes.get_errno()
    if code in UNSUPPORTED:
        return False
    raise OSError(code, os.strerror(code), str(second))
