# Every target works in a clean clone: the first one run makes .venv, later ones find it ready.

PY := .venv/bin/python
BOARDS := $(basename $(notdir $(wildcard hls/target/boards/*.toml)))
REFERENCES := $(basename $(notdir $(shell grep -l '^reference = true' hls/target/boards/*.toml)))
ROOMS := board flow hls model rtl_tb
TYPED := -m bitlathe $(addprefix -p bitlathe.,board flow hls model)
# Named after the files it installs from, so editing either installs again and touching neither costs nothing.
STAMP := .venv/.stamp-$(shell cat pyproject.toml constraints.txt | cksum | cut -d' ' -f1)
SITE := $(STAMP:.venv/.stamp-%=.venv/.site-%)
SUITABLE := import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 13))
WORKERS ?= 2
# PYTHON=python3.12 makes .venv of it; else the first suitable one that is there.
PYTHON ?=
# SHUFFLE=1 runs files, and the tests of each, in random order; SHUFFLE=SEED in the order of that seed, which the
# header of every such run names.
SHUFFLED := $(if $(SHUFFLE),--random-order --no-loadscope-reorder $(if $(filter-out 1,$(SHUFFLE)),--random-order-seed=$(SHUFFLE)))
SUITE := -n $(WORKERS) --dist loadfile $(SHUFFLED) -m "not (slow or vitis or vivado or board or cuda)"
# Instructions that every processor has, so sums of floats are added up in another order than this machine's own.
PLAIN := ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_CBWR=COMPATIBLE OPENBLAS_CORETYPE=Nehalem
PYNQ31 := build/venv-pynq31

export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo docs hls wheel bitstream test numeric pynq sim bench boards soak prove mutants resources timing lint types links clean compiler

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP) compiler  ## search, compile and simulate a small network, bit for bit
	.venv/bin/bitlathe demo

test: $(STAMP) compiler  ## everything that needs no vendor tool, accelerator or board: [SHUFFLE=1 or a seed]
	$(PY) -m pytest $(SUITE)

prove: $(STAMP)  ## theorems about the engine's blocks by solvers, a fault for each: [BLOCKS="fifo skid" EXCEPT=mac_pair]
	$(PY) benchmarks/proofs.py $(if $(BLOCKS),--blocks $(BLOCKS)) $(if $(EXCEPT),--except $(EXCEPT)) --jobs $(WORKERS)

mutants: $(STAMP) compiler  ## one-line faults, each of which a test must notice, hours: [SECONDS=600 TURN= FILES=]
	$(PY) benchmarks/mutants.py --jobs $(WORKERS) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(TURN),--turn $(TURN)) \
	  $(if $(FILES),--files $(FILES))

numeric: $(STAMP) compiler  ## what computes with floats once more, as another processor adds them up
	$(PLAIN) $(PY) -m pytest $(SUITE) tests/model tests/flow/network/test_training.py tests/flow/compress/test_run.py \
	  tests/flow/compress/test_sensitivity.py

pynq: $(STAMP) $(PYNQ31)/.stamp compiler links  ## the simulated boards with pynq 3.1, the last for PYNQ-Z2
	rm -rf build/pynq31-bundles
	$(PY) tests/support/board_bundles.py build/pynq31-bundles
	PYTHONPATH=build/types BITLATHE_TEST_BUNDLES=build/pynq31-bundles $(PYNQ31)/bin/python -m pytest \
	  tests/board/test_simulated_device.py tests/board/test_bundle.py tests/board/test_names.py tests/board/test_npy.py \
	  tests/board/test_agent.py tests/board/test_agent_worker.py tests/board/test_process.py \
	  tests/board/test_refused_uploads.py tests/board/test_request.py tests/board/test_server.py tests/board/test_store.py

sim: $(STAMP) compiler  ## the simulator benches alone
	$(PY) -m pytest $(SUITE) rtl_tb

bench: $(STAMP) compiler resources  ## cycles, area and speed; rows in build/bench
	$(PY) benchmarks/cycles.py
	$(PY) benchmarks/boards.py
	$(PY) benchmarks/batch.py
	$(PY) benchmarks/bars.py
	$(PY) benchmarks/reference.py

boards: $(STAMP) compiler  ## every board: its tests on the simulated one, its engine, cycles of the networks: [BOARD=]
	$(PY) -m pytest -q -m slow tests/board/test_every_board.py $(if $(BOARD),-k $(BOARD))
	$(PY) benchmarks/boards.py $(if $(BOARD),--boards $(BOARD))

soak: $(STAMP) compiler  ## random networks and damaged programs through every engine, hours: [NETWORKS= PROGRAMS=]
	$(PY) benchmarks/soak.py $(if $(NETWORKS),--networks $(NETWORKS)) $(if $(PROGRAMS),--programs $(PROGRAMS))

resources: $(STAMP)  ## area and longest path of the engine by Yosys, minutes once a version
	$(PY) benchmarks/resources.py

timing: $(STAMP)  ## longest path by Yosys, and blocks routed on another part; estimates
	$(PY) benchmarks/timing.py

hls: $(STAMP) compiler  ## HLS projects, proven in C simulation: [TARGET= NETWORK= FLOW=engine|hls4ml BACKEND= REUSE= SYNTH=require]
	@for flow in $(or $(FLOW),engine hls4ml); do for target in $(or $(TARGET),$(REFERENCES)); do \
	  .venv/bin/bitlathe hls --network $(or $(NETWORK),resnet8) --target $$target --flow $$flow \
	    $(if $(BACKEND),--backend $(BACKEND)) $(if $(REUSE),--reuse $(REUSE)) --synth $(or $(SYNTH),auto) || exit $$?; done; done

bitstream: $(STAMP)  ## Vivado's project of a board, and the bitstream if Vivado is here: [BOARD= ENGINE=rtl|hls SYNTH=require]
	@for board in $(or $(BOARD),$(BOARDS)); do \
	  .venv/bin/bitlathe bitstream --target $$board --engine $(or $(ENGINE),rtl) \
	    $(if $(filter require,$(SYNTH)),--require) || exit $$?; done

wheel: $(STAMP) compiler  ## sdist, wheel, bill of materials; the wheel tried outside the checkout; into build/wheel
	.ci/wheel

lint: $(STAMP)  ## style of Python, SystemVerilog and C++, and of the commits' subjects
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) .ci/lint.py
	.ci/subjects

types: $(STAMP) links  ## strict type check of the installed packages
	$(PY) -m mypy $(TYPED)

docs: $(STAMP) $(SITE) links  ## the documentation site, without a warning; into build/site
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet --strict
	@echo "the site is build/site/index.html"

clean:  ## remove what the other targets made, .venv included
	rm -rf .venv build bitlathe.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

links:  # the rooms laid out as the packages they are installed as
	@mkdir -p build/types/bitlathe
	@for room in $(ROOMS); do ln -sfn ../../../$$room build/types/bitlathe/$$room; done
	@ln -sfn ../../../flow/bitlathe/__init__.py build/types/bitlathe/__init__.py

compiler:
	@command -v $${CXX:-g++} >/dev/null || { echo "no C++ compiler: the simulator compiles the hardware;" \
	  "install g++ (Debian, Ubuntu: apt-get install g++) or name yours with CXX=" >&2; exit 3; }

# Python 3.10 is what that image has; any other that pynq takes will do.
$(PYNQ31)/.stamp: constraints.txt
	@python3.10 -m venv $(PYNQ31) 2>/dev/null || .venv/bin/python -m venv $(PYNQ31)
	$(PYNQ31)/bin/pip install -q 'pynq==3.1.2' 'pycparser<3' 'numpy<2' 'protobuf<6' tomli pytest hypothesis
	@touch $@

# What builds the site is installed by who builds it.
$(SITE): $(STAMP)
	$(PY) -m pip install -q -c constraints.txt -e '.[docs]'
	@rm -f .venv/.site-* && touch $@

$(STAMP):
	@python=$$(for p in $(PYTHON) python3.11 python3.12 python3.10 python3; do \
	    $$p -c '$(SUITABLE)' 2>/dev/null && { command -v $$p; break; }; done); \
	  test -n "$$python" || { echo "no suitable Python: bitlathe needs 3.10, 3.11 or 3.12 with its venv module" \
	    "(Debian, Ubuntu: apt-get install python3-venv)" >&2; exit 3; }; \
	  test -x $(PY) || "$$python" -m venv .venv
	$(PY) -m pip install -q -c constraints.txt -e '.[dev,board]'
	@rm -f .venv/.stamp-* && touch $@
