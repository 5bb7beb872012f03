"""Extension modules: they take buffers, check them, call one C function and let go."""
