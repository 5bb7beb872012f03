"""One thread at a time inside an object."""

cimport cython

from functools import wraps

from trunkline.errors import ConcurrentUseError


cdef class Exclusive:
    """Base of objects whose `exclusive` methods refuse a second thread."""

    # Whoever enters sets busy back.
    cdef int enter(self) except -1:
        if self.busy:
            raise ConcurrentUseError(f"{type(self).__name__}: used by two threads at once")
        self.busy = True
        return 0


def exclusive(method):
    """Let a method raise ConcurrentUseError while another one of the same object runs."""

    @wraps(method)
    @cython.binding(True)
    def guarded(Exclusive self not None, *args, **kwargs):
        self.enter()
        try:
            return method(self, *args, **kwargs)
        finally:
            self.busy = False

    return guarded
