# make              what there is to make
# make install      puts everything below DESTDIR, if that is set
#
# Variables: prefix, sysconfdir, DESTDIR, CARGO, CARGOFLAGS; built, where install-files finds the programs.

prefix     ?= /usr
sysconfdir ?= /etc
sbindir    ?= $(prefix)/sbin
mandir     ?= $(prefix)/share/man
docdir     ?= $(prefix)/share/doc/lvs
datadir    ?= $(prefix)/share/lvs
unitdir    ?= $(prefix)/lib/systemd/system
CARGO      ?= cargo

target   = $(or $(CARGO_TARGET_DIR),target)
built    ?= $(target)/release

.PHONY: help build demo test test-services bench install install-files fmt lint

help:
	@echo 'make build    compile the four programs (release profile), into $(target)/release'
	@echo 'make demo     a cluster of five machines loses a web server and a director, told as a story'
	@echo 'make test     formatting, lints, all tests, and the stories on a kernel with IPVS'
	@echo 'make test-services   the checks against the real servers, whose packages it installs'
	@echo 'make bench    measurements beside the originals'
	@echo 'make install  build, then programs, man pages, samples and init scripts to their places (DESTDIR, prefix,'
	@echo '              sysconfdir); "make install-files" takes what is built already, for a root without cargo'
	@echo 'make fmt      format the sources'
	@echo 'make lint     formatting and clippy, warnings being errors'

build:
	$(CARGO) build --release --workspace --bins $(CARGOFLAGS)

demo:
	@tests/demo/run

test:
	@tests/run

test-services:
	@tests/services/run -i

bench:
	@tests/bench/run

fmt:
	$(CARGO) fmt --all

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy --package lvs-tests --test stories --test compat-lab --test services --test interop --test deaths -- -D warnings

install: build install-files

# Only what is there already: compiles nothing.
install-files:
	@DESTDIR='$(DESTDIR)' prefix='$(prefix)' sysconfdir='$(sysconfdir)' sbindir='$(sbindir)' mandir='$(mandir)' \
	    docdir='$(docdir)' datadir='$(datadir)' unitdir='$(unitdir)' ha.d/install '$(built)'
