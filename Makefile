# Every target does its own set-up: a virtual environment in the checkout, made once and renewed when the pins change.
#   make demo        the whole path on a city nobody has seen, with the bundled weights; writes demo/index.html
#   make test        style, types and tests
PYTHON ?= python3
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
export NUMBA_CACHE_DIR := $(CURDIR)/.numba
export TOKENIZERS_PARALLELISM := false

.PHONY: demo test nightly lint bench reproduce reproduce-judge pictures calibrate results zooming retrieval reranking experiments errors pairs clean
.DEFAULT_GOAL := demo

demo: $(INSTALLED)
	$(BIN)/tiercel demo --out demo

# One thread a worker: the workers share the cores already.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile -m "not nightly"

nightly: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile -m nightly --timeout 3600

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/mypy

# Trains the bundled model anew, from nothing, by its recipes and seeds: hours; an interrupted run goes on.
# make reproduce QUICK=1 trains a small version of it in a fraction of the time, and measures both beside each other.
QUICK ?=
TRAIN := MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184 OMP_NUM_THREADS=1 $(BIN)/tiercel train
reproduce: $(INSTALLED)
ifeq ($(QUICK),)
	$(call side_by_side,recipes/seedling.yaml,runs/seedling)
	$(call side_by_side,recipes/compact.yaml,runs/compact)
else
	$(call side_by_side,recipes/quick.yaml,runs/quick)
	$(BIN)/python -m tiercel.evaluation.quick runs/quick results/quick.json --jobs $(JOBS)
endif

# Retrieval and match train at once, each on its own core, and then what follows from them.
define side_by_side
	$(TRAIN) $(1) -o $(2) --resume --stage retrieval & retrieval=$$!; \
		$(TRAIN) $(1) -o $(2) --resume --stage match; match=$$?; wait $$retrieval && exit $$match
	$(TRAIN) $(1) -o $(2) --resume
endef

# Trains the small vision-language judge anew; after `reproduce`, as it looks with the bundled model's geometric match.
reproduce-judge: $(INSTALLED)
	OMP_NUM_THREADS=$(JOBS) $(BIN)/tiercel train recipes/judge.yaml -o runs/judge/small --resume

# Fits the bundled model's calibration numbers on validation cities: after training, before `results`.
calibrate: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m tiercel.evaluation.calibrate src/tiercel/weights/compact --jobs $(JOBS)

# Measures the bundled model, and renders the tables from what was measured.
results: $(INSTALLED)
	$(BIN)/tiercel evaluate --difficulty both --jobs $(JOBS) -o results/locate.json --calibration results/calibration.json \
		--page docs/results.md --card src/tiercel/weights/compact/README.md
	$(BIN)/python -m tiercel.evaluation.diagram results/calibration.json docs/pictures/reliability.png
	for page in results zooming retrieval real errors; do $(BIN)/python -m tiercel.evaluation.pages docs/$$page.md results || exit; done

# Trains and measures what zooming is trained for, and measures a city of 10 km: an hour or two each on two cores.
zooming: $(INSTALLED)
	$(BIN)/tiercel evaluate recipes/zoom-objectives.yaml
	$(BIN)/tiercel evaluate recipes/metropolis.yaml
	$(BIN)/python -m tiercel.evaluation.pages docs/zooming.md results

# Trains and measures what each part of retrieval buys, zooming and retrieval together, and photos from one spot: some hours.
retrieval: $(INSTALLED)
	$(BIN)/tiercel evaluate recipes/retrieval-arms.yaml
	$(BIN)/tiercel evaluate recipes/fusion.yaml
	$(BIN)/python -m tiercel.evaluation.together results/together.json --photos 30
	$(MAKE) pairs
	$(BIN)/python -m tiercel.evaluation.pages docs/retrieval.md results
	$(BIN)/python -m tiercel.evaluation.figures results docs/pictures

# Measures what a second look is worth, every judge by every tournament, and renders the page: an hour or two.
reranking: $(INSTALLED)
	$(BIN)/tiercel evaluate recipes/rerank-sim.yaml

# Tries changes to the recipe, one at a time, and renders the page of them: some hours.
experiments: $(INSTALLED)
	$(BIN)/tiercel evaluate recipes/experiments.yaml
	$(BIN)/python -m tiercel.evaluation.experiments recipes/experiments.yaml docs/experiments.md docs/pictures/experiments.png

# Collects a hundred wrong answers and sorts them by cause.
errors: $(INSTALLED)
	$(BIN)/python -m tiercel.evaluation.errors runs/errors --seed 1002 --count 100 --photos 300 --picture docs/pictures/errors.jpg
	$(BIN)/python -m tiercel.evaluation.pages docs/errors.md results

# Measures that dual encoder on miniatures of the published data sets of pairs, and renders nothing.
PAIRS := $(BIN)/tiercel evaluate --model runs/retrieval-arms/both --data runs/miniatures
pairs: $(INSTALLED)
	for layout in vigor cvusa cvact; do test -d runs/miniatures/$$layout || \
		$(BIN)/tiercel sim -o runs/miniatures/$$layout --layout $$layout --seed 20 --photos 120 || exit; done
	$(PAIRS)/vigor --tiles scaled
	$(PAIRS)/vigor --tiles scaled --area cross
	$(PAIRS)/cvusa
	$(PAIRS)/cvact --split val
	$(PAIRS)/cvact --split test

# The pictures of the README.
pictures: $(INSTALLED)
	$(BIN)/python -m tiercel.demo.showcase demo docs/pictures

# How fast each part is on this machine. Galleries of millions of cells take hours, and 20 GB of disk while they are
# measured; an interrupted run goes on where it stopped. Smaller: make bench SIZES="10000 100000"
SIZES ?= 10000 100000 1000000 5000000
bench: $(INSTALLED)
	$(BIN)/python -m tiercel.demo.speed results/speed.json
	$(BIN)/python -m tiercel.evaluation.zoom_speed results/zoom_speed.json
	$(BIN)/python -m tiercel.evaluation.index_speed results/index.json --sizes $(SIZES)
	$(BIN)/python -m tiercel.evaluation.metrics_speed results/metrics_speed.json

clean:
	rm -rf $(VENV) .numba .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist demo

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "tiercel needs Python 3.11 or newer; point to one with: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Installing tiercel and its pinned packages into $(VENV), once ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $@
