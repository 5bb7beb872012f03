"""libopus: loaded when it is first needed; its words for what went wrong."""

import os
from operator import index

cimport cython
from cpython.mem cimport PyMem_Malloc

from trunkline.errors import ConcurrentUseError, FormatError, LibraryMissingError, PacketError

RATES = (8000, 12000, 16000, 24000, 48000)
APPLICATIONS = {"voip": 2048, "audio": 2049, "lowdelay": 2051}
BITRATES = {"auto": AUTO, "max": BITRATE_MAX}
SIGNALS = {"auto": AUTO, "voice": 3001, "music": 3002}
BANDWIDTHS = {
    "auto": AUTO, "narrowband": 1101, "mediumband": 1102, "wideband": 1103, "superwideband": 1104,
    "fullband": 1105,
}
NAMES = {
    code: name for names in (APPLICATIONS, SIGNALS, BANDWIDTHS) for name, code in names.items()
}

# Those of opus_defines.h but RESET_STATE, which takes nothing, and SET_DNN_BLOB, which takes a pointer.
_SETTERS = frozenset((
    *range(4000, 4018, 2), 4020, 4022, 4024, 4034, 4036, 4040, 4042, 4046, 4050, 4054, 4056,
))
_GETTERS = frozenset((
    *range(4001, 4019, 2), 4021, 4023, 4025, 4027, 4029, 4031, 4033, 4037, 4039, 4041, 4043, 4045, 4047, 4049,
    4051, 4055, 4057,
))

cdef Library _loaded = None
cdef object _finder = None


@cython.final
cdef class Library:
    """libopus, as a table of its functions. `place`: a path, a SONAME, or None for the built-in copy."""

    def __cinit__(self, place):
        cdef char reason[512]
        if place is None:
            if not tl_opus_built_in(&self.table):
                raise LibraryMissingError("this build has no copy of its own")
        else:
            reason[0] = 0
            if "\0" in place:
                raise LibraryMissingError(f"{place!r} has a NUL")
            if not tl_opus_open(&self.table, os.fsencode(place), reason, sizeof(reason)):
                raise LibraryMissingError((<bytes> reason).decode(errors="replace"))

    @property
    def version(self):
        return self.table.version().decode()

    @property
    def path(self):
        cdef char path[4096]
        return (<bytes> path).decode(errors="surrogateescape") if tl_opus_path(
            &self.table, path, sizeof(path)) else ""

    def strerror(self, code):
        return self.table.strerror(code).decode()

    @property
    def has_pcm24(self):
        return self.table.has_pcm24


def in_use():
    """Give the libopus of the process, which is loaded now if it was not."""
    return loaded()


def use(Library library not None):
    """Make this libopus the one of the process."""
    global _loaded
    _loaded = library


def find_with(finder):
    """Say what looks for libopus, and calls `use`, when it is first needed."""
    global _finder
    _finder = finder


cdef Library loaded():
    if _loaded is None:
        _finder()
    return _loaded


cdef int code_of(dict codes, object name, str what) except? 0:
    if name not in codes:
        raise FormatError(f"{what} {name!r}: takes {', '.join(codes)}")
    return codes[name]


cdef int in_range(object value, int least, int most, str what) except? -1:
    value = index(value)
    if not least <= value <= most:
        raise FormatError(f"{what}: takes {least} to {most}, got {value}")
    return value


cdef int flag(object value, str what) except? -1:
    if value is True or value is False:
        return value
    raise FormatError(f"{what}: takes True or False, got {value!r}")


cdef int check_setter(object request) except -1:
    return check_request(request, _SETTERS, "sets")


cdef int check_getter(object request) except -1:
    return check_request(request, _GETTERS, "gets")


cdef int check_request(object request, object known, str does) except -1:
    if index(request) in known:
        return 0
    error = FormatError(f"request {request}: none of libopus that {does} a number")
    error.code = UNIMPLEMENTED
    raise error


cdef int check_layout(object sample_rate, object channels) except -1:
    if index(sample_rate) not in RATES:
        raise FormatError(f"Opus at {sample_rate} Hz: takes {', '.join(map(str, RATES))} Hz")
    if index(channels) not in (1, 2):
        raise FormatError(f"Opus of {channels} channels: takes 1 or 2")
    return 0


cdef int refuse_code(Library library, int code, object request=None) except -1:
    said = library.strerror(code)
    if request is not None:
        said = f"{request}: {said}"
    if code == INVALID_PACKET:
        error = PacketError(f"Opus packet: {said}")
    elif code == UNIMPLEMENTED:
        error = FormatError(f"{library.version} does not have this: {said}")
    else:
        error = FormatError(f"libopus refuses: {said} ({code})")
    error.code = code
    raise error


cdef int refuse_concurrent_use() except -1:
    raise ConcurrentUseError("this object serves one call at a time")


cdef void *allocate(size_t n_bytes) except NULL:
    cdef void *mem = PyMem_Malloc(n_bytes)
    if mem is NULL:
        raise MemoryError
    return mem
