#!/usr/bin/env bash
# Installs what the tests run against, on Debian 12: Debian packages, as root,
# and npm packages under test/interop/node. Only what is missing.
set -euo pipefail

debian_packages=(
	curl
	gcc
	kamailio
	libc6-dev
	libfrontier-rpc-perl
	librpc-xml-perl
	libxmlrpc-core-c3-dev
	php-cli
	php-xmlrpc
	python3
	ruby
	ruby-xmlrpc
	sip-tester
)
npm_dir=$(dirname "${BASH_SOURCE[0]}")/interop/node

die() {
	echo "test/deps.sh: $*" >&2
	exit 1
}

# Runs a command and shows what it printed only if it fails.
quietly() {
	local output
	output=$("$@" 2>&1) || die "$*:"$'\n'"$output"
}

is_installed() {
	[[ $(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

install_debian_packages() {
	local missing=() package
	for package in "${debian_packages[@]}"; do
		is_installed "$package" || missing+=("$package")
	done
	command -v node >/dev/null || missing+=(nodejs)
	command -v npm >/dev/null || missing+=(npm)
	[[ ${#missing[@]} -gt 0 ]] || return 0

	command -v apt-get >/dev/null || die "no apt-get here; the tests need these Debian packages: ${missing[*]}"
	[[ $EUID -eq 0 ]] || die "run as root, or install first: apt-get install ${missing[*]}"
	echo "test/deps.sh: installing ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	quietly apt-get update
	quietly apt-get install --yes --no-install-recommends "${missing[@]}"
}

install_npm_packages() {
	cd "$npm_dir"
	npm ls >/dev/null 2>&1 || quietly npm ci
}

install_debian_packages
install_npm_packages
