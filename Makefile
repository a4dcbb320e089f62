# The only front door. `make help` lists the recipes; CI runs `make test`, nothing else.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

CARGO ?= cargo
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
PYTHON := tests/.venv/bin/python
# Speaks Enhanced RTMP, which Debian's does not; comes with tests/requirements.txt.
FFMPEG9 = $$($(PYTHON) -c 'import imageio_ffmpeg as f; print(f.get_ffmpeg_exe())')
WEB := web/dist/index.html
WEB_SOURCES := $(shell find web -not -path '*/node_modules*' -not -path '*/dist*' -type f)

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## */\t/' | expand -t 10

# === what a bare machine lacks ===

setup: web/node_modules/.package-lock.json tests/e2e/node_modules/.package-lock.json tests/.venv/done ## install what is missing
	@scripts/setup.sh ffmpeg ffprobe chromium curl nats-server openssl dejavu ip

web/node_modules/.package-lock.json: web/package-lock.json
	@scripts/setup.sh node npm
	npm ci --no-audit --no-fund --prefix web
	@touch $@

tests/e2e/node_modules/.package-lock.json: tests/e2e/package-lock.json
	@scripts/setup.sh node npm
	npm ci --no-audit --no-fund --prefix tests/e2e
	@touch $@

tests/.venv/done: tests/requirements.txt
	@scripts/setup.sh python3 venv
	python3 -m venv tests/.venv
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@

# === building ===

web: $(WEB) ## the pages, into web/dist

$(WEB): web/node_modules/.package-lock.json $(WEB_SOURCES)
	npm run --silent --prefix web build

build: web ## the release binary, with the pages inside
	@scripts/setup.sh cargo cc
	$(CARGO) build --locked --release

deb: build ## the Debian package, target/debian/rushlane.deb
	@scripts/deb.sh $(TARGET)/release/rushlane $(TARGET)/debian/rushlane.deb

demo: build ## build, then run a whole network on this machine
	$(TARGET)/release/rushlane dev

# === proving ===

check: web ## format, lints, floors, types of the pages
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) test --locked --lib --quiet tidy::
	npm run --silent --prefix web check

# The binary is built together with the tests, so that one set of dependencies serves both.
binary: web
	@scripts/setup.sh cargo cc
	$(CARGO) build --locked --workspace --bins --tests

unit: binary tests/.venv/done ## tests of the rooms and of the protocols
	RUSHLANE_FFMPEG9=$(FFMPEG9) $(CARGO) test --locked --workspace
	npm run --silent --prefix web test

e2e: setup binary ## a real binary, real encoders and players
	RUSHLANE=$(TARGET)/debug/rushlane \
	RUSHLANE_PYTHON=$(CURDIR)/$(PYTHON) \
	RUSHLANE_FFMPEG9=$(FFMPEG9) \
	node --test --test-concurrency=1 tests/e2e/*.test.mjs

deploy-test: setup binary ## what deploy/ holds, read and tried by the tools it is for
	@scripts/setup.sh systemd-analyze shellcheck cloud-init nft ip
	RUSHLANE=$(TARGET)/debug/rushlane node --test tests/deploy/*.test.mjs

# Only the tool: Debian's package would start a server on the admin port.
tests/.tools/promtool:
	@mkdir -p $(@D)
	cd $(@D) && apt-get download -qq prometheus && \
	dpkg-deb --fsys-tarfile prometheus_*.deb | tar x --strip-components=3 ./usr/bin/promtool && \
	rm prometheus_*.deb && touch promtool

rules: tests/.tools/promtool ## the alerts and budgets of Prometheus, read by its own tool
	$< check rules deploy/prometheus/rules/*.yml

test: setup check unit e2e rules deploy-test ## everything that must pass before a change lands

chaos-orders: build ## 100,000 orders while nodes are killed; three books side by side
	RUSHLANE=$(TARGET)/release/rushlane CHAOS_ORDERS=100000 CHAOS_BUYERS=2000 \
	$(CARGO) test --locked --test chaos -- --nocapture

drill: build setup ## drain and upgrade an edge under 1,000 viewers and 200 buyers
	RUSHLANE=$(TARGET)/release/rushlane RUSHLANE_PYTHON=$(CURDIR)/$(PYTHON) RUSHLANE_CROWD=1000 \
	node --test --test-concurrency=1 tests/e2e/drain.test.mjs tests/e2e/upgrade.test.mjs

nats-drill: build setup ## an hour of a show while its NATS cluster is away (SECONDS=3600)
	RUSHLANE=$(TARGET)/release/rushlane RUSHLANE_PYTHON=$(CURDIR)/$(PYTHON) RUSHLANE_NATS_AWAY=$(or $(SECONDS),3600) \
	node --test --test-name-pattern="NATS dies" tests/e2e/adversity.test.mjs

verdicts: build setup ## is the load test's verdict right? 20 runs with a fault, 20 without (RUNS=20)
	$(CARGO) build --locked --release -p rushlane-load
	RUSHLANE=$(TARGET)/release/rushlane RUSHLANE_PYTHON=$(CURDIR)/$(PYTHON) RUSHLANE_VERDICTS=$(or $(RUNS),20) \
	node --test --test-concurrency=1 tests/e2e/verdicts.test.mjs

S ?= smoke
load: build ## make load S=NAME: a scenario of loadtest/scenarios; FLEET=FILE KEY=FILE for a given fleet
	$(CARGO) build --locked --release -p rushlane-load
	$(TARGET)/release/rushlane-load run loadtest/scenarios/$(S).toml --report $(TARGET)/load/$(S) \
	$(if $(FLEET),--fleet $(FLEET)) $(if $(KEY),--key-file $(KEY))

# `make bench`: measure against the goals, the rivals in the same run.
-include benches/bench.mk

# Without a sanitizer: the house has no unsafe code, and inputs run several times as fast.
# A crash lands in fuzz/artifacts; it belongs in fuzz/regressions/NAME with its fix.
fuzz: ## make fuzz T=NAME: one parser, until it breaks (nightly toolchain)
	$(if $(T),,$(error name a target: make fuzz T=NAME; there are: $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))))
	@$(CARGO) fuzz --version > /dev/null || $(CARGO) install --locked cargo-fuzz
	@mkdir -p fuzz/out/$(T)
	$(CARGO) +nightly fuzz run --sanitizer none $(T) fuzz/out/$(T) fuzz/corpus/$(T)

golden: ## renew the golden files; read the diff before you commit it
	UPDATE_GOLDEN=1 INSTA_UPDATE=always $(CARGO) test --locked --workspace

clean: ## remove what was built and installed here
	$(CARGO) clean
	rm -rf web/dist web/node_modules tests/e2e/node_modules tests/.venv tests/out

.PHONY: help setup web build deb demo check binary unit e2e rules deploy-test test chaos-orders drill nats-drill verdicts load bench fuzz golden clean
