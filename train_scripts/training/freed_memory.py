"""Memory that a training on a CPU frees and takes again in every step stays with the process.

glibc gives large blocks back to the system when they are freed. The next tensor's pages are then handed out and zeroed one by one,
in every step anew.
"""

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h
NEVER = -1


def keep_freed_memory() -> bool:
    """Lets the allocator of this process keep what is freed, for the next tensors. The peak of memory stays, and isn't fallen from.

    Another allocator that is preloaded in glibc's place, such as jemalloc, is not changed.

    Returns:
        Whether there is glibc's allocator, and it took the settings.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, NEVER))
