"""Events to the task that iterates over them, as they come."""

cimport cython
from libc.math cimport INFINITY

from trunkline._native.media cimport MediaReader

from asyncio import CancelledError
from collections import deque

from trunkline.errors import ConcurrentUseError, TrunklineError

cdef extern from "Python.h":
    void PyErr_SetObject(object kind, object value) noexcept

cdef enum:
    PUSHED_MAX = 16  # of a stream within PUSHED_MS: a flood leaves the others their turns
    PUSHED_MS = 1


@cython.final
cdef class Doorbell:
    """What one task waits for: `await doorbell` returns once it is rung, or was since the last time.

    It is what asyncio takes for a future, by `_asyncio_future_blocking`, `get_loop`, `add_done_callback`,
    `result` and `cancel`; and other than a future, it can run the task on the spot.
    """

    cdef object loop
    cdef object callback  # of the task that waits, and the context for it
    cdef object context
    cdef bint has_rung  # while nobody waited
    cdef bint is_heard  # the task has been told, and has to run yet
    cdef bint is_cancelled
    cdef object cancel_message
    cdef public bint _asyncio_future_blocking

    def __init__(self, loop):
        self.loop = loop

    @property
    def is_awaited(self):
        """Whether a task waits."""
        return self.callback is not None

    def ring(self):
        """Have the task run in the loop's next turn."""
        if self.callback is None:
            self.has_rung = True
            return
        self.is_heard = True
        self.loop.call_soon(self.callback, self, context=self.context)
        self.callback = self.context = None

    # Run the task up to where it waits again; not within another task, which nobody may interrupt.
    cdef int run(self) except -1:
        callback, context = self.callback, self.context
        self.callback = self.context = None
        self.is_heard = True
        try:
            context.run(callback, self)
        except RuntimeError:  # another task runs after all, and this one has not
            self.loop.call_soon(callback, self, context=context)
        return 0

    # Whether nobody has to wait; else, whoever awaits is to yield this.
    cdef bint passes(self):
        if self.is_heard:
            self.is_heard = False
            return True
        if self.has_rung:
            self.has_rung = False
            return True
        self._asyncio_future_blocking = True
        return False

    def get_loop(self):
        """The event loop of the task."""
        return self.loop

    def add_done_callback(self, callback, *, context):
        """Be told what to call."""
        if self.callback is not None:
            raise ConcurrentUseError("Doorbell: two tasks wait for it")
        self.callback, self.context = callback, context

    def cancel(self, msg=None):
        """Have the task be told that it is cancelled."""
        if self.callback is None:
            return False
        self.is_cancelled, self.cancel_message = True, msg
        self.loop.call_soon(self.callback, self, context=self.context)
        self.callback = self.context = None
        return True

    def result(self):
        """Tell the task how it went."""
        if self.is_cancelled:
            self.is_cancelled = False
            raise CancelledError() if self.cancel_message is None else CancelledError(self.cancel_message)

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        if self.passes():
            raise StopIteration
        return self


cdef class Events:
    """An async iterator over the events that are put into it; a subclass says what to wait for.

    `_receive()` is awaited while there are none: it puts some, or ends the iteration by `_over`, or returns
    to be awaited again. While `_listens` is a Doorbell, that is awaited instead, up to where it is rung and
    there are no events.
    """

    cdef readonly object _events
    cdef public bint _over
    cdef readonly bint _told_all  # the iteration has ended
    cdef public Doorbell _listens
    cdef object next  # what came to the task that waits, before what is in _events
    cdef MediaReader reader  # of what is pushed, when whoever waits does so at the doorbell
    cdef Doorbell doorbell
    cdef object time
    cdef double pushed_s  # since when so many were pushed
    cdef int n_pushed
    cdef bint iterates

    def __cinit__(self, *args, **options):
        self._events = deque()

    def __aiter__(self):
        return self

    def __anext__(self):
        cdef NextEvent coming = NextEvent.__new__(NextEvent)
        coming.events = self
        return coming

    def _open(self, MediaReader reader not None, Doorbell doorbell not None, time not None):
        """Have `_push` take what comes, at the seconds that `time()` gives."""
        self.reader = reader
        self.doorbell = doorbell
        self.time = time

    def _push(self, message):
        """Take plain media for the task that waits at the doorbell, and run that: not within another task.

        False: none waits there, or the message is another one, wrong, or one too many; nothing has been done.
        """
        cdef list events
        cdef double now_s
        if self.doorbell is None or self.doorbell.callback is None:
            return False
        if type(message) is bytes and not self.reader.is_binary and self.reader.kept is None:
            return False
        now_s = self.time()
        if (now_s - self.pushed_s) * 1000 > PUSHED_MS:
            self.pushed_s, self.n_pushed = now_s, 0
        self.n_pushed += 1
        if self.n_pushed > PUSHED_MAX:
            return False
        try:
            events = self.reader.take_plain(message, now_s * 1000)
        except TrunklineError:
            return False  # who takes it the long way gets the same
        if events is None:
            return False
        if len(events) == 1:
            self.next = events[0]
        else:
            self._events.extend(events)
        if self.reader.deadline_ms() != INFINITY:
            self._listens = None  # a chunk is missing: whoever waits next has to mind the time, too
            self.doorbell.run()
        elif self.has_events():
            self.doorbell.run()
        return True

    cdef bint has_events(self) except -1:
        return self.next is not None or len(self._events) > 0

    cdef object take_event(self):
        event, self.next = self.next, None
        return self._events.popleft() if event is None else event


@cython.final
@cython.freelist(16)
cdef class NextEvent:
    """The coroutine of one `__anext__`."""

    cdef Events events  # None: it has ended
    cdef object waits_for  # an iterator of `await`
    cdef bint has_begun

    def __await__(self):
        return self

    def __next__(self):
        cdef bint is_event = False
        result = self.step(&is_event)
        if not is_event:
            return result
        PyErr_SetObject(StopIteration, result)  # and not an instance, to be made and thrown away
        raise StopIteration  # which leaves what is set as it is, and makes no traceback

    def __dealloc__(self):
        self.end()

    def send(self, value):
        """Go on."""
        return next(self)

    def throw(self, error, value=None, traceback=None):
        """Go on with an exception, or its type and value: what it waits for takes it, or it ends here."""
        if isinstance(value, BaseException):
            error = value
        elif isinstance(error, type):
            error = error() if value is None else error(value)
        waits_for, self.waits_for = self.waits_for, None
        try:
            if waits_for is not None and hasattr(waits_for, "throw"):
                yielded = waits_for.throw(error)
                self.waits_for = waits_for
                return yielded
        except StopIteration:
            return next(self)
        except BaseException:
            self.end()
            raise
        self.end()
        raise error

    def close(self):
        """Give up."""
        waits_for, self.waits_for = self.waits_for, None
        try:
            if waits_for is not None and hasattr(waits_for, "close"):
                waits_for.close()
        finally:
            self.end()

    cdef void end(self) noexcept:
        if self.has_begun and self.events is not None:
            self.events.iterates = False
        self.events = None

    # Give what is to be yielded, or the event.
    cdef object step(self, bint *is_event):
        cdef Events events = self.events
        if events is None:
            raise RuntimeError("cannot reuse already awaited __anext__()")
        if not self.has_begun:
            if events.iterates:
                self.events = None
                raise ConcurrentUseError(f"{type(events).__name__}: two tasks iterate over it")
            events.iterates = self.has_begun = True
        try:
            # What waits is awaited to its end, with events or without: it may be closing a connection.
            while self.waits_for is not None or not events.has_events():
                if self.waits_for is None:
                    if events._over:
                        events._told_all = True
                        raise StopAsyncIteration
                    self.waits_for = (events._receive().__await__() if events._listens is None
                                      else events._listens)
                    if type(self.waits_for) is Doorbell and not (<Doorbell> self.waits_for).passes():
                        return self.waits_for
                elif type(self.waits_for) is Doorbell:
                    (<Doorbell> self.waits_for).is_heard = False
                if type(self.waits_for) is not Doorbell:
                    try:
                        return next(self.waits_for)
                    except StopIteration:
                        pass
                self.waits_for = None
                if not events.has_events():
                    events._listens = None
            event = events.take_event()
        except BaseException:
            self.end()
            raise
        self.end()
        is_event[0] = True
        return event
