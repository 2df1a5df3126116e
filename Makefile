# neutron-ndp-proxy-agent. `make` alone lists what there is.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# The lanes share the kernel, the broker's ports and two cores: one at a time.
.NOTPARALLEL:

# root by `su` or a bare container may lack the sbin directories.
export PATH := $(PATH):/usr/sbin:/sbin

MODULE   := neutron-ndp-proxy-agent
BINARIES := neutron-ndp-proxy-agent ndsend
TAGS     := rabbitmq,lab,packages

# The first Go that accepts go.mod (an older one with GOTOOLCHAIN=auto does, by
# fetching the right one). Override with GO=path. Looked for at each use: need-go
# puts one into GO_DIR where there is none (Debian 12 has only Go 1.19).
GO_VERSION := 1.26.8
GO_DIR     := /usr/local/lib/$(MODULE)/go$(GO_VERSION)
accepts     = $(shell $(1) list -m >/dev/null 2>&1 && command -v $(1))
GO         ?= $(or $(call accepts,go),$(call accepts,/usr/local/go/bin/go),$(call accepts,$(GO_DIR)/bin/go))

GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
# What looks at what we ship: known vulnerabilities, licences, the list of parts.
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
GOLICENSES  := github.com/google/go-licenses@v1.6.0
CYCLONEDX   := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
# Makes the .deb and the .rpm. From 2.46 on it needs a module that the Go module
# proxy does not always serve.
NFPM        := github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2

# Version from git. Without git, or where git refuses another user's tree, it
# still builds; the tests build too, so they need to hear that by GOFLAGS.
IN_GIT  := $(shell git rev-parse --verify -q HEAD >/dev/null 2>&1 && echo true || echo false)
VERSION ?= $(shell git describe --always --dirty --tags 2>/dev/null || echo unknown)
ifeq ($(IN_GIT),false)
export GOFLAGS := $(GOFLAGS) -buildvcs=false
endif
# Without symbol tables and DWARF: stacks, profiles and SBOMs need neither.
LDFLAGS := -s -w -X $(MODULE)/cmd/internal/buildinfo.version=$(VERSION)

# make install
DESTDIR    ?=
PREFIX     ?= /usr
SYSCONFDIR ?= /etc
BINDIR      = $(PREFIX)/bin
MANDIR      = $(PREFIX)/share/man
DOCDIR      = $(PREFIX)/share/doc/$(MODULE)
UNITDIR     = $(PREFIX)/lib/systemd/system
SYSUSERSDIR = $(PREFIX)/lib/sysusers.d
TMPFILESDIR = $(PREFIX)/lib/tmpfiles.d
# Where the shells look for what packages bring.
BASHDIR     = $(PREFIX)/share/bash-completion/completions
ZSHDIR     ?= $(PREFIX)/share/zsh/vendor-completions
FISHDIR     = $(PREFIX)/share/fish/vendor_completions.d

ROOT := $(filter 0,$(shell id -u))
HASH := \#
SHELL_SCRIPTS = $(shell grep -rlE '^$(HASH)!/bin/(ba)?sh' .ci configs systemd test) $(wildcard configs/completion/*.bash)

# lane NAME,COMMAND: a heading before and the time after, so that a log of
# everything still reads.
define lane
	@printf '\n=== %s\n' '$(1)'
	@start=$$SECONDS; $(2); printf '=== %s: done in %d s\n' '$(1)' $$((SECONDS - start))
endef

##@ Every day

.PHONY: help
help: ## This list
	@awk 'BEGIN { FS = ":.*## " } \
	    /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	    /^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@printf '\nGo: %s\n' '$(or $(GO),none that accepts go.mod (on Debian make fetches one when run as root))'

.PHONY: build
build: need-go ## Static binaries in bin/ (Go 1.26; 1 min the first time, then seconds)
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=$(IN_GIT) -ldflags '$(LDFLAGS)' -o bin/ $(BINARIES:%=./cmd/%)

.PHONY: demo
demo: build ## The main job without a cloud, in three namespaces (root; 15 s)
	@test/lab/install net
	@test/demo/demo.sh

.PHONY: check
check: need-go need-cc ## Quick lane: vet, unit and namespace tests with -race, no broker (root, gcc; 10 min, then 7 min)
	$(if $(ROOT),@test/lab/install net shells unit metrics,@echo 'check: not root, so the tests in namespaces will skip themselves')
	$(call lane,vet,$(GO) vet -tags $(TAGS) ./...)
	$(call lane,unit and namespace tests,CGO_ENABLED=1 $(GO) test -race -count=1 -timeout 15m ./...)

.PHONY: test
test: need-root lint check fuzz-briefly demo packages rabbitmq e2e ## Everything: lint, check, fuzz-briefly, demo, packages, rabbitmq, e2e (root, Debian packages; 40 min)
	@printf '\n=== all lanes passed\n'

##@ Single lanes

.PHONY: rabbitmq
rabbitmq: need-go need-cc need-root ## Tests with private RabbitMQs on ports of their own, faults of all kinds (root, rabbitmq-server; 7 min)
	@test/lab/install net broker
	$(call lane,tests with a private RabbitMQ,\
	    packages=$$(grep -rlE --include='*_test.go' '^//go:build.*\brabbitmq\b' . | xargs -r -n1 dirname | sort -u); \
	    [ -n "$$packages" ] || { echo 'no test has the build tag rabbitmq' >&2; exit 1; }; \
	    CGO_ENABLED=1 $(GO) test -race -count=1 -timeout 15m -tags rabbitmq $$packages)

# fuzz TIME: every fuzz target of every package, one after the other. Go prints an
# input that fails and keeps it in testdata/fuzz beside the test, where every later
# `go test` tries it again.
define fuzz
	failed=; for package in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -r -n1 dirname | sort -u); do \
	    for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$package/*_test.go); do \
	        if out=$$($(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(1) $$package 2>&1); then \
	            printf '%-28s %s\n' "$$package" "$$target: $$(grep -o 'execs: [0-9]*' <<<"$$out" | tail -n 1)"; \
	        elif grep -q '^ *context deadline exceeded$$' <<<"$$out" && ! grep -q 'Failing input' <<<"$$out"; then \
	            printf '%-28s %s\n' "$$package" "$$target: the engine ran out of time, without a failing input"; \
	        else printf '%s\n' "$$out"; failed+=" $$package:$$target"; fi; \
	    done; \
	done; \
	[ -z "$$failed" ] || { echo "failed:$$failed" >&2; exit 1; }
endef

# The seeds, and what ever failed, run with every `go test`; here new inputs are
# looked for.
FUZZTIME ?= 10s
.PHONY: fuzz fuzz-briefly
fuzz: need-go ## Every fuzz target for FUZZTIME each (default 10s; 6 min)
	$(call lane,fuzz targets for $(FUZZTIME) each,$(call fuzz,$(FUZZTIME)))
fuzz-briefly: need-go ## Every fuzz target for 1 s each (2 min)
	$(call lane,fuzz targets for 1 s each,$(call fuzz,1s))

# The lab in its three shapes: which tests run in which is told by their names,
# and each test skips itself in a lab that is not its own.
E2E = NDP_AGENT_BIN=$(CURDIR)/bin/neutron-ndp-proxy-agent $(GO) test -count=1 -timeout 30m -tags lab
E2E_TWO_HOSTS = '^Test(HA|RebuildRescheduled)'
E2E_DVR = '^TestDVR'

.PHONY: e2e e2e-one-host e2e-ha e2e-dvr
e2e: e2e-one-host e2e-ha e2e-dvr ## The lab: a real Neutron, our daemon, an upstream that pings (root, Neutron's packages; 20 min)
e2e-one-host: build need-root ## Legacy routers, migration
	@test/lab/install net broker neutron
	$(call lane,the configuration as oslo.config reads it,$(GO) test -count=1 -timeout 5m -tags lab -run Oslo ./agent/config/)
	$(call lane,end to end on a real Neutron,$(E2E) -skip $(E2E_DVR) ./test/e2e/...)
e2e-ha: build need-root ## HA routers on two hosts
	@test/lab/install net broker neutron
	$(call lane,end to end: two hosts with HA routers,LAB_HOST2=1 $(E2E) -run $(E2E_TWO_HOSTS) ./test/e2e/...)
e2e-dvr: build need-root ## Distributed routers on two hosts with Open vSwitch
	@test/lab/install net broker neutron ovs
	$(call lane,end to end: distributed routers,LAB_HOST2=1 LAB_L2=ovs $(E2E) -run $(E2E_DVR) ./test/e2e/...)

# What the packages do on a Debian that was made for it: in namespaces of its own.
.PHONY: packages
packages: need-root package ## Build the .deb and .rpm; install, upgrade, remove them in a clean Debian 12 (root, Debian's mirror; 3 min)
	@test/lab/install packages
	$(call lane,packages in a clean Debian,NDP_DIST=$(CURDIR)/dist $(GO) test -count=1 -timeout 15m -tags packages ./test/packages/)

.PHONY: bench
bench: need-go ## Benchmarks of all packages (root for those in namespaces; minutes)
	$(GO) test -run '^$$' -bench . -benchmem -timeout 30m ./...

.PHONY: announcements
announcements: need-go need-root ## Measure anew what docs/announcements.md says of neighbour caches (root; seconds)
	@test/lab/install net
	$(GO) test -count=1 -run '^TestNeighbourCacheTable$$' ./ndsend/ -update

.PHONY: picture
picture: need-go need-root ## docs/dashboard.svg anew, of the metrics of a lab run (root, rabbitmq-server, prometheus; 5 min)
	@test/lab/install net broker metrics
	$(GO) test -count=1 -timeout 15m -tags rabbitmq -run '^TestPicture$$' ./test/chaos/ -chaos.race=false -chaos.picture=$(CURDIR)/docs/dashboard.svg

.PHONY: lint
lint: need-go ## gofmt, golangci-lint and its room rules, shellcheck, modules, licences, govulncheck (network; 3 min, then 40 s)
	$(call lane,gofmt,out=$$("$$($(GO) env GOROOT)/bin/gofmt" -l .); [ -z "$$out" ] || { echo "not gofmt'ed (make fmt):" $$out; exit 1; })
	$(call lane,golangci-lint,$(GO) run $(GOLANGCI) run --build-tags $(TAGS) ./...)
	$(if $(ROOT),@test/lab/install lint)
	$(call lane,shellcheck,\
	    if command -v shellcheck >/dev/null; then shellcheck -x $(SHELL_SCRIPTS); \
	    else echo 'shellcheck is not installed: skipped (root would install it)'; fi)
	$(call lane,modules,$(GO) mod verify; $(GO) mod tidy -diff)
	$(call lane,licences,test/supply/licences $(GO) $(GOLICENSES))
	$(call lane,known vulnerabilities,test/supply/vulncheck $(GO) $(GOVULNCHECK))

.PHONY: fmt
fmt: need-go ## Format the Go code in place, imports grouped (network the first time)
	$(GO) run $(GOLANGCI) fmt

.PHONY: cover
cover: need-go ## Coverage of the quick lane: coverage.out and coverage.html (root; 1 min)
	$(GO) test -count=1 -timeout 15m -coverpkg=./... -coverprofile=coverage.out ./...
	$(GO) tool cover -html=coverage.out -o coverage.html
	@$(GO) tool cover -func=coverage.out | tail -n 1

##@ Shipping

.PHONY: install
install: build ## Install below $(DESTDIR)$(PREFIX), keeping an existing ndp_proxy_agent.ini
	umask 022; mkdir -p $(addprefix $(DESTDIR),$(BINDIR) $(UNITDIR) $(SYSUSERSDIR) $(TMPFILESDIR) $(MANDIR)/man5 $(MANDIR)/man8 $(BASHDIR) $(ZSHDIR) $(FISHDIR) $(DOCDIR)/docs/decisions $(SYSCONFDIR)/neutron $(SYSCONFDIR)/logrotate.d)
	install -m 0755 $(BINARIES:%=bin/%) $(DESTDIR)$(BINDIR)/
	sed 's|^\(ExecStart=\)/usr/bin/|\1$(BINDIR)/|' systemd/$(MODULE).service >$(DESTDIR)$(UNITDIR)/$(MODULE).service
	chmod 0644 $(DESTDIR)$(UNITDIR)/$(MODULE).service
	install -m 0644 systemd/$(MODULE).sysusers $(DESTDIR)$(SYSUSERSDIR)/$(MODULE).conf
	install -m 0644 systemd/$(MODULE).tmpfiles $(DESTDIR)$(TMPFILESDIR)/$(MODULE).conf
	install -m 0644 docs/man/*.5 $(DESTDIR)$(MANDIR)/man5/
	install -m 0644 docs/man/*.8 $(DESTDIR)$(MANDIR)/man8/
	for b in $(BINARIES); do install -m 0644 configs/completion/$$b.bash $(DESTDIR)$(BASHDIR)/$$b; done
	install -m 0644 $(BINARIES:%=configs/completion/_%) $(DESTDIR)$(ZSHDIR)/
	install -m 0644 $(BINARIES:%=configs/completion/%.fish) $(DESTDIR)$(FISHDIR)/
	install -m 0644 configs/packaging/logrotate $(DESTDIR)$(SYSCONFDIR)/logrotate.d/ndp-proxy-agent
	install -m 0644 LICENSE README.md CONTRIBUTING.md configs/ndp_proxy_agent.ini $(DESTDIR)$(DOCDIR)/
	install -m 0644 docs/*.md docs/*.svg $(DESTDIR)$(DOCDIR)/docs/
	install -D -m 0644 -t $(DESTDIR)$(DOCDIR)/monitoring configs/grafana/*.json configs/prometheus/*.yml
	install -m 0644 docs/decisions/*.md $(DESTDIR)$(DOCDIR)/docs/decisions/
	@ini=$(DESTDIR)$(SYSCONFDIR)/neutron/ndp_proxy_agent.ini; \
	if [ -e "$$ini" ]; then echo "$$ini exists: kept (the new sample is in $(DESTDIR)$(DOCDIR))"; \
	else install -m 0644 configs/ndp_proxy_agent.ini "$$ini"; fi

# Owner, order and times are fixed and the binaries carry no paths, so the same
# commit built by the same Go gives the same bytes (make reproducible). Without /etc: unpacking must
# not touch an operator's files, and the sample is among the documents.
PACKAGE = $(MODULE)-$(VERSION)-linux-$(GOARCH)
GOARCH  = $(shell $(GO) env GOARCH)
EPOCH   = $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null || echo 0))

# In the packages' fields.
MAINTAINER ?= neutron-ndp-proxy-agent maintainers <maintainers@users.noreply.r-seed-3eedca5e.example>

# Beside the tarball and inside it: what each binary is made of (CycloneDX, read
# from the binary itself). Inside: the licences of all that is linked, which their
# terms want.
STAGEDOC = dist/stage/usr/share/doc/$(MODULE)

.PHONY: package
package: need-go ## dist/: .deb, .rpm and .tar.gz of what install installs, with SBOMs, reproducible (network the first time)
	rm -rf dist
	umask 022; $(MAKE) --no-print-directory install DESTDIR=dist/stage PREFIX=/usr SYSCONFDIR=/etc
	test/supply/licences $(GO) $(GOLICENSES) $(CURDIR)/$(STAGEDOC)/licences
	install -D -m 0644 "$$($(GO) env GOROOT)/LICENSE" $(STAGEDOC)/licences/go.dev/LICENSE
	export PATH="$(dir $(GO)):$$PATH" CGO_ENABLED=0; for b in $(BINARIES); do \
	    $(GO) run -trimpath $(CYCLONEDX) bin -json -std -noserial -notimestamp -version '$(VERSION)' \
	        -output dist/$(PACKAGE).$$b.cdx.json bin/$$b; \
	    install -D -m 0644 dist/$(PACKAGE).$$b.cdx.json $(STAGEDOC)/sbom/$$b.cdx.json; done
	export NFPM='$(GO) run $(NFPM)' PACKAGE_VERSION="$$(configs/packaging/version '$(VERSION)' '$(EPOCH)')" \
	    ARCH='$(GOARCH)' EPOCH='$(EPOCH)' MAINTAINER='$(MAINTAINER)'; configs/packaging/build dist/stage dist
	rm -rf dist/stage/etc
	tar --create --sort=name --mtime=@$(EPOCH) --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --format=gnu \
	    --directory dist/stage --transform 's|^\.|$(PACKAGE)|' . | gzip -9n >dist/$(PACKAGE).tar.gz
	rm -rf dist/stage
	@cd dist && LC_ALL=C sha256sum $(MODULE)* >$(PACKAGE).sha256 && cat $(PACKAGE).sha256

IMAGE ?= $(MODULE):$(subst +,-,$(VERSION))
.PHONY: image
image: package ## A container image with the static binaries only, from dist/ (podman, buildah or docker)
	configs/packaging/container/build dist/$(PACKAGE).tar.gz dist/image '$(VERSION)' '$(IMAGE)'

.PHONY: reproducible
reproducible: need-go ## make package twice, as different as two builds can be: the same bytes? (2 min)
	$(call lane,the package built twice,test/supply/reproducible)

.PHONY: clean
clean: ## Remove bin/, dist/ and the coverage files
	rm -rf bin dist coverage.out coverage.html

# ------------------------------------------------------------------ conditions

.PHONY: need-go
need-go:
	@[ -n '$(GO)' ] || test/lab/install-go $(GO_VERSION) $(GO_DIR)

.PHONY: need-root
need-root:
	@[ -n '$(ROOT)' ] || { echo '$(or $(MAKECMDGOALS),make): needs root (network namespaces, packages)' >&2; exit 1; }

# The race detector is the one thing here that needs a C compiler.
.PHONY: need-cc
need-cc:
	@{ command -v gcc && [ -e /usr/include/stdlib.h ]; } >/dev/null || test/lab/install cc
