"""Requests for `encoder_ctl` and `decoder_ctl`: `set_x` takes a value, `get_x` and `reset_state` none."""

from typing import NamedTuple

from trunkline.opuslib import constants


class Request(NamedTuple):
    """One of libopus's requests."""

    number: int
    takes_value: bool


def query(request: int) -> Request:
    """Make a request that takes no value."""
    return Request(request, takes_value=False)


def get(request: int, result_type: object) -> Request:
    """Make a request that reads a setting; its type is always a number's."""
    return Request(request, takes_value=False)


def ctl_set(request: int) -> Request:
    """Make a request that changes a setting."""
    return Request(request, takes_value=True)


unimplemented = query(constants.UNIMPLEMENTED)
reset_state = query(constants.RESET_STATE)

set_application = Request(constants.SET_APPLICATION_REQUEST, takes_value=True)
get_application = Request(constants.GET_APPLICATION_REQUEST, takes_value=False)
set_bitrate = Request(constants.SET_BITRATE_REQUEST, takes_value=True)
get_bitrate = Request(constants.GET_BITRATE_REQUEST, takes_value=False)
set_max_bandwidth = Request(constants.SET_MAX_BANDWIDTH_REQUEST, takes_value=True)
get_max_bandwidth = Request(constants.GET_MAX_BANDWIDTH_REQUEST, takes_value=False)
set_vbr = Request(constants.SET_VBR_REQUEST, takes_value=True)
get_vbr = Request(constants.GET_VBR_REQUEST, takes_value=False)
set_bandwidth = Request(constants.SET_BANDWIDTH_REQUEST, takes_value=True)
get_bandwidth = Request(constants.GET_BANDWIDTH_REQUEST, takes_value=False)
set_complexity = Request(constants.SET_COMPLEXITY_REQUEST, takes_value=True)
get_complexity = Request(constants.GET_COMPLEXITY_REQUEST, takes_value=False)
set_inband_fec = Request(constants.SET_INBAND_FEC_REQUEST, takes_value=True)
get_inband_fec = Request(constants.GET_INBAND_FEC_REQUEST, takes_value=False)
set_packet_loss_perc = Request(constants.SET_PACKET_LOSS_PERC_REQUEST, takes_value=True)
get_packet_loss_perc = Request(constants.GET_PACKET_LOSS_PERC_REQUEST, takes_value=False)
set_dtx = Request(constants.SET_DTX_REQUEST, takes_value=True)
get_dtx = Request(constants.GET_DTX_REQUEST, takes_value=False)
set_vbr_constraint = Request(constants.SET_VBR_CONSTRAINT_REQUEST, takes_value=True)
get_vbr_constraint = Request(constants.GET_VBR_CONSTRAINT_REQUEST, takes_value=False)
set_force_channels = Request(constants.SET_FORCE_CHANNELS_REQUEST, takes_value=True)
get_force_channels = Request(constants.GET_FORCE_CHANNELS_REQUEST, takes_value=False)
set_signal = Request(constants.SET_SIGNAL_REQUEST, takes_value=True)
get_signal = Request(constants.GET_SIGNAL_REQUEST, takes_value=False)
get_lookahead = Request(constants.GET_LOOKAHEAD_REQUEST, takes_value=False)
get_sample_rate = Request(constants.GET_SAMPLE_RATE_REQUEST, takes_value=False)
get_final_range = Request(constants.GET_FINAL_RANGE_REQUEST, takes_value=False)
get_pitch = Request(constants.GET_PITCH_REQUEST, takes_value=False)
set_gain = Request(constants.SET_GAIN_REQUEST, takes_value=True)
get_gain = Request(constants.GET_GAIN_REQUEST, takes_value=False)
set_lsb_depth = Request(constants.SET_LSB_DEPTH_REQUEST, takes_value=True)
get_lsb_depth = Request(constants.GET_LSB_DEPTH_REQUEST, takes_value=False)
get_last_packet_duration = Request(constants.GET_LAST_PACKET_DURATION_REQUEST, takes_value=False)
set_expert_frame_duration = Request(constants.SET_EXPERT_FRAME_DURATION_REQUEST, takes_value=True)
get_expert_frame_duration = Request(constants.GET_EXPERT_FRAME_DURATION_REQUEST, takes_value=False)
set_prediction_disabled = Request(constants.SET_PREDICTION_DISABLED_REQUEST, takes_value=True)
get_prediction_disabled = Request(constants.GET_PREDICTION_DISABLED_REQUEST, takes_value=False)
