"""Recordings turned into something else: for now a picture of their waveform."""
