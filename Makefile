# make study            the default study, on the synthetic flowers
# make study DATASET=mini-birds RDG_STEPS=6000 PARAMS=my.yaml
#                       with any parameter of lib/s2igan/config/settings.py; LIST=1 only lists the runs, DRY=1 is a dry run,
#                       CHECK=1 only says what is in DATA_DIR and what is wrong with it
# make study-full       both synthetic data sets, the paper's systems, three seeds (less: SEEDS=0 DATASETS=mini-birds)
# make distinctive      when the distinctive loss helps SEN: with and without it, on data harder in one way each
# make verify           compares a finished study with results/reference, figure by figure (STUDY=mini DATASET=mini-birds)
# make test | lint      the tests | ruff and the import contract
# make test-machines    the numeric tests as on a processor with AVX2 alone, in fp32 and in bf16
# make fuzz             gives every reader 10,000 damaged files (INPUTS=300: that many)
# make kill-test        kills every stage, and fills its disk, at 20 random moments (TIMES=3: that many)
# make bench            times of the library against a reference implementation (QUICK=1: two minutes; SCALING=1)
# make lab              JupyterLab on notebooks/
# make speak TEXT="a flower with five blue petals" [OUT=flower.png]
#                       generates an image from a sentence, with trained networks of the repository
# make read             runs the notebooks with those networks, without training, in two minutes:
#                       results/read and results/mini-reference
# make site             a book of the executed notebooks, the tables and the library (STUDY=mini-reference: of that study)
# make clean            deletes runs, built data and the site; keeps results/reference and everything else in data/

# Other packages, another Python or another start of it: the virtual environment has its own.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONUTF8 PYTHONINSPECT PYTHONOPTIMIZE PYTHONWARNINGS
GOALS := help study study-full distinctive speak verify test test-machines lint fuzz kill-test bench lab read site clean
.PHONY: $(GOALS)
.DEFAULT_GOAL := help
VENV := .venv
# Before anything runs: make would come to `5` in `make study SEEDS 5` after the study.
UNKNOWN := $(filter-out $(GOALS) $(VENV)/.installed $(VENV)/.site,$(MAKECMDGOALS))
$(if $(UNKNOWN),$(error '$(firstword $(UNKNOWN))' is nothing to make: give one of $(GOALS), and values as NAME=value))
PY := $(VENV)/bin/python
# The first Python that works, is of a version that the lock covers, and can make virtual environments.
FITS := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do $$p -c '$(FITS)' 2>/dev/null && echo $$p && break; done)
# The names given as NAME=value; make has put their values into the environment, where no quoting can break them.
GIVEN := $(filter-out PYTHON VENV PY MAKE%,$(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name))))
# As they were typed: in a value, make would take $5 and $(...) for words of its own.
$(foreach name,$(GIVEN),$(eval override $(name) := $$(value $(name)))$(eval export $(name)))

study: $(VENV)/.installed
	@$(PY) -m s2igan study $(GIVEN)

study-full: $(VENV)/.installed
	@$(PY) -m s2igan study --full $(GIVEN)

distinctive: $(VENV)/.installed
	@$(PY) -m s2igan distinctive $(GIVEN)

speak: $(VENV)/.installed
	@$(PY) -m s2igan speak $${OUT:+--out "$$OUT"} -- "$$TEXT"

verify: $(VENV)/.installed
	@$(PY) -m s2igan verify $(GIVEN)

test: $(VENV)/.installed
	@$(PY) -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-machines: $(VENV)/.installed
	@$(PY) tests/machines.py

fuzz: $(VENV)/.installed
	@$(PY) tests/fuzz/run.py $(foreach name,$(GIVEN),$(name)=$($(name)))

kill-test: $(VENV)/.installed
	@folder=$$(mktemp -d) && for stage in data sen rdg evaluation notebook study; do \
		$(PY) tests/kill_at_random.py $$stage $$folder/$$stage $(or $(TIMES),20) && \
		$(PY) tests/full_disk_at_random.py $$stage $$folder/full-$$stage $(or $(TIMES),20) || exit 1; done; \
		rm -rf $$folder

lint: $(VENV)/.installed
	@$(PY) -m ruff check
	@$(VENV)/bin/lint-imports

bench: $(VENV)/.installed
	@$(PY) benchmarks/bench.py $(GIVEN)

lab: $(VENV)/.installed
	@$(PY) -m jupyterlab --LabApp.default_url=/lab/tree/notebooks

read: $(VENV)/.installed
	@for name in 00_start_here 06_speak; do \
		$(PY) -m s2igan run notebooks/$$name.ipynb --out results/read/$$name.ipynb --label $$name || exit 1; done
	@$(PY) -m s2igan study WEIGHTS=reference "SYSTEMS=S2IGAN,text encoder"

site: $(VENV)/.site
	@$(PY) site/build.py $(GIVEN)

clean:
	@find results -mindepth 1 -maxdepth 1 ! -name README.md ! -name reference -exec rm -rf {} +
	@rm -rf site/_build
	@find data -mindepth 3 -maxdepth 3 -name index.json -exec sh -c 'rm -rf "$${1%/*}"' _ {} \;
	@find data -mindepth 2 -maxdepth 2 -type d \( -name '*.drawn' -o -name '*.building' \) -exec rm -rf {} +

help:
	@sed -n -e 's/^# make/make/p' -e 's/^#   /  /p' Makefile

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(or $(PYTHON),false) -c '$(FITS)' 2>/dev/null || { echo "error: no Python 3.11 to 3.13 that can make a virtual environment:" \
		"install python3 and python3-venv, or give PYTHON=/path/to/python3" >&2; exit 2; }
	@echo "setting up $(VENV) with $(PYTHON): once, some minutes"
	@$(PYTHON) -m venv $(VENV)
	@$(PY) -m pip --disable-pip-version-check install --quiet -r requirements.lock
	@$(PY) -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.site: $(VENV)/.installed requirements-site.lock
	@echo "setting up what builds the site: once"
	@$(PY) -m pip --disable-pip-version-check install --quiet --no-deps -r requirements-site.lock
	@touch $@
