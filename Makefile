# Every task sets up what it needs in .venv first; see deploy/bootstrap.py.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done || echo python3)

.PHONY: run test check simulate chaos bench bench-portal screenshots clean

# The whole product on this machine: make run, or make run FRESH=1 to start over.
run:
	@$(PYTHON) deploy/bootstrap.py run $(if $(filter-out 0,$(FRESH)),--fresh)

# Everything: format, lint, types, import contracts, and all tests on real servers and a real browser.
test:
	@$(PYTHON) deploy/bootstrap.py test

# The same without servers and browser, for every commit.
check:
	@$(PYTHON) deploy/bootstrap.py check

# Random schedules of the sync engine; those that fail are kept: make simulate SEEDS=1000000
simulate:
	@$(PYTHON) deploy/bootstrap.py simulate -- --seeds $(or $(SEEDS),20000)

# The long fault suite on private servers, about 20 minutes; any option of `python -m tests.faults.chaos`: make chaos ARGS="--seed 2"
chaos:
	@$(PYTHON) deploy/bootstrap.py chaos -- --events 100000 --tickets 5000 --kills 50 --broker-kills 8 --outage 60 $(ARGS)

# What the sync costs, measured on this machine: make bench ARGS="--database-url postgresql://..."
bench:
	@$(PYTHON) deploy/bootstrap.py bench -- $(ARGS)

# The portal beside django-helpdesk, in turns on one PostgreSQL; needs peer_portal.py, which is not in this project.
bench-portal:
	@$(PYTHON) deploy/bootstrap.py bench-portal -- $(ARGS)

# A picture of every page in test-results/screenshots, and those of the README, taken from the running product.
screenshots:
	@$(PYTHON) deploy/bootstrap.py screenshots

# Removes what was built, never what you stored (that is in var/).
clean:
	@rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis test-results
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
