# make demo                      trains, scores, draws and serves a small EoMT, 6.5 to 8.5 minutes on 2 cores after the installation
# make demo BACKBONE=<timm name>  the same from pretrained weights, which needs a network
# make test                      the whole suite, in two processes; make test-fast leaves out what takes minutes
# make docs                      the site, in build/docs

PYTHON ?= python3
ENV := .venv
BIN := $(ENV)/bin
INSTALLED := $(ENV)/.installed
export HF_HUB_OFFLINE ?= $(if $(BACKBONE),0,1)
export TOKENIZERS_PARALLELISM := false
export NO_MKDOCS_2_WARNING := 1

.PHONY: demo test test-fast lint docs install

demo: $(INSTALLED)
	$(BIN)/python train_scripts/demo.py --out outputs/demo $(if $(BACKBONE),--backbone $(BACKBONE))

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-fast: $(INSTALLED)
	$(BIN)/python -m pytest -m "not slow"

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

docs: $(INSTALLED)
	$(BIN)/python -m mkdocs build --strict --quiet
	@echo the site is in build/docs, its first page build/docs/index.html

install: $(INSTALLED)

$(INSTALLED): setup.py pyproject.toml
	$(PYTHON) -m venv $(ENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --editable '.[demo,test,docs]'
	-$(BIN)/python -m eomt.train_scripts.web.runtime  # for the tests in the browser
	touch $@
