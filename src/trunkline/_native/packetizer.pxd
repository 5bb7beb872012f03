from trunkline._native.opus_encoder cimport Encoder
from trunkline._native.resample cimport Resampler
from trunkline._native.track cimport tl_packetizer


cdef class Packetizer:
    cdef tl_packetizer *packetizer
    cdef bint busy
    cdef int channels
    cdef Resampler resampler  # None: the PCM has the codec's rate
    cdef bint resampler_holds  # samples that a flush brings
    cdef readonly int sample_rate
    cdef readonly object codec
    cdef Encoder encoder
    cdef bint encoder_holds
    cdef list push_in(self, object pcm)
    cdef list flush_in(self)
    cdef list packetize(self, object pcm)
    cdef bytes encode_packet(self, bytes room)
