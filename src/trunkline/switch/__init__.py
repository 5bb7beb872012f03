"""A local telephone exchange that plays the platform."""
