# make demo   the whole line on a generated slide (SLIDE=path: a DICOM folder or a vendor's slide file)
# make test   format check, lint, strict types, import contracts, tests
# make chaos-receive   kills the receiver hundreds of times under load and counts what was lost (QUICK=1)
# make bench-deidentify   what de-identification leaves behind and keeps, beside other tools, and how fast it is (QUICK=1)
# make formats         which stored slides are read: the pixels of a second library, or a refusal (QUICK=1)
# make accuracy        what the bundled models reach on real and painted images, and whether the aims hold
# make bench-inference   how fast slides are judged, beside what most tools do and the physical bound, and the memory it takes (QUICK=1)
# make bench-line   from the last byte to the verdict, and slides per hour, on the whole line (QUICK=1)
# make bench-privacy   what the attack rebuilds of tiles: without a plan, shuffled, by each of our release plans (QUICK=1)
# make bench-receive   how fast slides are received, beside DCMTK and Orthanc (QUICK=1: a short form)
# make bench-screen   what the screen costs beside a busy line of 10,000 slides, and how soon it answers a key (QUICK=1)
# make bench-routes   how fast tiles are asked about at one, two and more model servers, and what it costs here (QUICK=1)
# make triton      an environment with a real model server, for the tests and bench-routes

PYTHON ?= python3
VENV   := .venv
TRITON := .venv-triton
TRITON_PYTHON ?= /usr/bin/python3.11
BIN    := $(VENV)/bin
SLIDE  ?=
SEED   ?= 1

.PHONY: demo test check accuracy formats bench-deidentify bench-inference bench-line bench-privacy bench-receive bench-routes bench-screen chaos-receive triton lock clean

demo: $(VENV)/demo-ready
	$(BIN)/coverslip demo --seed $(SEED) $(if $(SLIDE),--slide "$(SLIDE)")

test: check
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder tests

check: $(VENV)/test-ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

accuracy: $(VENV)/test-ready
	$(BIN)/python -m inference.training.evaluate

formats: $(VENV)/test-ready
	$(BIN)/python -m benchmarks.formats

bench-deidentify: $(VENV)/test-ready
	$(BIN)/python -m benchmarks.deidentify

bench-inference: $(VENV)/test-ready
	$(BIN)/python -m benchmarks.inference

bench-line: $(VENV)/test-ready
	$(BIN)/python -m benchmarks.inference_line

bench-privacy: $(VENV)/test-ready
	$(BIN)/python -m benchmarks.privacy

bench-receive: $(VENV)/demo-ready
	$(BIN)/python -m benchmarks.receive

bench-routes: $(VENV)/test-ready $(TRITON)/ready
	$(BIN)/python -m benchmarks.routes

bench-screen: $(VENV)/test-ready
	$(BIN)/python -m benchmarks.screen

chaos-receive: $(VENV)/test-ready
	PYTHONPATH=. $(BIN)/python benchmarks/durability.py

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "Coverslip needs Python 3.11 or newer: apt install python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Coverslip needs Python 3.11 or newer; this is $$($(PYTHON) --version)."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Coverslip needs the venv module: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo-ready: requirements.lock pyproject.toml $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/test-ready: tests/requirements.lock $(VENV)/demo-ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/requirements.lock
	@touch $@

# A real Triton server for the tests and `make bench-routes`. Its wheel wants Debian's own Python 3.11 and numpy 1, so it
# has an environment of its own, which pip of ours fills; without it those tests are skipped.
triton: $(TRITON)/ready
$(TRITON)/ready: tests/triton.lock $(VENV)/bin/python
	@[ -x $(TRITON_PYTHON) ] || { echo "Triton needs Debian 12's Python 3.11: apt install python3"; exit 1; }
	$(TRITON_PYTHON) -m venv --clear --without-pip $(TRITON)
	$(BIN)/python -m pip --python $(TRITON)/bin/python install --quiet --disable-pip-version-check --require-hashes -r tests/triton.lock
	@touch $@

# Needs uv; writes the lock files with hashes and without the address of any index.
UV_LOCK := uv pip compile --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --python-version 3.11 -q
lock:
	$(UV_LOCK) pyproject.toml --extra build -o requirements.lock
	$(UV_LOCK) pyproject.toml --extra build --extra test -c requirements.lock -o tests/requirements.lock
	printf 'nvidia-pytriton==0.7.0\nonnxruntime==1.31.1\n' | $(UV_LOCK:--universal=--python-platform x86_64-manylinux_2_35) - -o tests/triton.lock
	echo "wsidicomizer==0.26.1" | $(UV_LOCK) - -o appliance/conversion/requirements.lock

clean:
	rm -rf $(VENV) $(TRITON) build *.egg-info
