cdef class Exclusive:
    cdef bint busy
    cdef int enter(self) except -1
