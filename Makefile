GOLANGCI_LINT := v2.15.0
GOVULNCHECK   := v1.9.0
LINT          := bin/golangci-lint-$(GOLANGCI_LINT)
FUZZTIME      := 30s

.PHONY: build run demo test test-crash test-flood deps vet lint bench bench-interop bench-go fuzz vuln clean

build:
	@go build -o bin/evid ./cmd/evid

# Starts the daemon with the built-in configuration, to stay.
run: build
	@bin/evid run

# Shows a daemon, a subscriber and two events at work.
demo: build
	@bin/evid demo

# Everything that must be right: what the tests need is installed first.
test: deps vet lint
	go test -race -count=1 ./...
	go test -count=1 -run 'Alloc|Memory' ./queue ./delivery ./transport/xmlrpc ./transport/route ./xmlrpc ./internal/tcp ./script/cachedb ./script/program ./script/ratelimit ./source/sip ./source/hep ./source/pike ./bench # the race detector allocates itself

# evid is killed a hundred times while others raise and subscribe; ten times in test.
test-crash:
	go test -count=1 -timeout 30m -v ./test/crash -run Kill -args -rounds 100

# evid is flooded from random addresses for ten minutes, and must not take more memory at the
# end than after a third of that, but for a fifth; ten seconds in test.
test-flood: build
	@go build -o bin/evid-bench ./bench
	@bin/evid-bench -flood 10m

deps:
	test/deps.sh

vet:
	go vet ./...

lint: $(LINT)
	$(LINT) run

$(LINT):
	GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT)
	mv bin/golangci-lint $@

# The table of the README: evid beside a sender written in C.
bench: build
	@go build -o bin/evid-bench ./bench
	@bin/evid-bench $(BENCHFLAGS)

# The same with real XML-RPC servers.
bench-interop: deps
	@go build -o bin/evid-bench ./bench
	@bin/evid-bench -interop $(BENCHFLAGS)

# The parts: encoding, parsing, queueing.
bench-go:
	go test -run '^$$' -bench . -benchmem ./...

# Every fuzz target for a while, beyond its committed corpus.
fuzz:
	@set -e; for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

# Needs the vulnerability database, which is fetched.
vuln:
	go run golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK) ./...

clean:
	rm -rf bin test/interop/node/node_modules
