# Set-up and the two commands of the README. On Linux, PyPI's torch brings CUDA along; the smaller CPU build:
#   make demo PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
VENV ?= .venv
PYTHON ?= python3
PIP_ARGS ?=
DEVICE ?= cpu

INSTALLED := $(VENV)/.installed

CHROMIUM ?= chromium
RUN ?= runs/demo

.PHONY: demo test lint table docs picture clean

demo: $(INSTALLED)
	$(VENV)/bin/hwtickets demo

test: $(INSTALLED)
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

table: $(INSTALLED)
	$(VENV)/bin/hwtickets table build --device $(DEVICE)

# The site, into site/.
docs: $(INSTALLED)
	$(VENV)/bin/python -m pip install $(PIP_ARGS) -e ".[docs]"
	$(VENV)/bin/mkdocs build

# The picture of the README: the top of a run's report.
picture:
	$(CHROMIUM) --headless --no-sandbox --disable-gpu --hide-scrollbars --virtual-time-budget=5000 \
		--window-size=1280,1180 --screenshot=docs/images/report.png "file://$(abspath $(RUN))/report/report.html"

clean:
	rm -rf .venv build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis

# torch first and alone: it is most of the download, and a failure there says so at once.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install $(PIP_ARGS) -c constraints.txt torch==2.13.0
	$(VENV)/bin/python -m pip install $(PIP_ARGS) -c constraints.txt -e ".[dev]"
	touch $@
