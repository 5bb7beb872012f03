# make demo    set up, build, and have a call on a local switch streamed over TLS into a WAV
# make test    set up, build, and run the tests
# make check   ruff, mypy, stubtest, cython-lint
# make bench   ratios to the libraries people use today
# make wheels  build wheels for this Python and for all, and try them in environments of their own
# make ray     install Ray (0.6 GB), and convert on a local cluster of two workers (1 minute)
# make soak    a million hostile Opus packets, a hundred thousand of all others, under sanitizers; ten times the
#              examples of the properties in Python; a thousand hostile sockets of each kind; recorders killed
#              200 times; 500 calls for 10 minutes (an hour)
.PHONY: demo test check bench wheels ray soak build ctest pytest clean
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Where it is set, every program that the tests start compiles the package anew, and pytest all tests in each worker.
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

demo: build
	trunkline demo

test: ctest pytest

# The editable install is made again when a native source has changed or a package has been added.
NATIVE := $(shell find csrc cmake CMakeLists.txt src -name '*.[ch]' -o -name '*.p[yx][xd]' \
	-o -name '*.cmake' -o -name CMakeLists.txt -o -name __init__.py)

build: $(VENV)/built

$(VENV)/built: $(VENV)/dev pyproject.toml $(NATIVE)
	flock $(VENV)/lock $(PIP) install --no-build-isolation -Cbuild-dir=build/editable -e '.[all]'
	touch $@

# pip reads dependency groups since 25.1.
$(VENV)/dev: pyproject.toml .ci/packages
	.ci/packages required gcc libc6-dev python3-dev python3-venv
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install 'pip>=25.1'
	$(PIP) install --group dev
	touch $@

ctest: $(VENV)/dev
	for preset in release sanitize; do \
		mkdir -p build && cmake --preset $$preset >build/$$preset.log 2>&1 || { cat build/$$preset.log; exit 1; }; \
		cmake --build --preset $$preset && ctest --preset $$preset || exit 1; \
	done

# Some tests wait for real sounds and peers, so there are more workers than processors; who is done takes from the others.
PYTEST := python -m pytest -n 4 --dist worksteal

pytest: build
	.ci/packages optional sox ffmpeg libopus0 opus-tools \
		gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good
	$(PYTEST)

check: build
	ruff check
	ruff format --check
	cython-lint src
	mypy
	MYPYPATH=src python -m mypy.stubtest trunkline._native trunkline.audioop --allowlist tests/packaging/stubtest-allowlist.txt --ignore-unused-allowlist

bench: build
	.ci/packages optional libspeexdsp1
	python benchmarks/bench_g711.py
	python benchmarks/bench_audioop.py
	python benchmarks/bench_resample.py
	cmake --preset release >/dev/null && cmake --build --preset release >/dev/null
	python benchmarks/bench_opus.py
	python benchmarks/bench_packet.py
	python benchmarks/bench_jitter.py
	python benchmarks/bench_switch.py
	python benchmarks/bench_load.py
	build/c-release/csrc/bench_g711
	build/c-release/csrc/bench_plc
	build/c-release/csrc/bench_jitter
	python benchmarks/plc_quality.py

wheels: build
	python -m pytest -m slow tests/packaging

ray: build
	$(PIP) install -e '.[ray]' --no-build-isolation -Cbuild-dir=build/editable
	python -m pytest -m slow tests/convert/test_ray.py

soak: ctest build
	TRUNKLINE_EXAMPLES=100000 ctest --preset sanitize -E fuzz_jitter # each of its examples is hundreds
	TRUNKLINE_EXAMPLES=1000000 build/c-sanitize/csrc/test_opus
	TRUNKLINE_EXAMPLES=500 $(PYTEST) -m hypothesis
	python -m pytest -m slow --ignore tests/net/test_soak.py tests/net
	python -m pytest -m slow -o faulthandler_timeout=0 tests/stream/test_recorder_crash.py
	TRUNKLINE_SOAK_CALLS=500 TRUNKLINE_SOAK_MINUTES=10 python -m pytest -m slow -o faulthandler_timeout=0 -s tests/net/test_soak.py

clean:
	rm -rf build $(VENV)
