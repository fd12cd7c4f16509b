#!/usr/bin/env bash
# What a person reads in the build log.

output::step() {
	printf -- '-----> %s\n' "$*"
}

output::detail() {
	printf '       %s\n' "$*"
}

# Each argument is a line.
output::error() {
	printf ' !     %s\n' "$@" >&2
}

output::unexpected_error() {
	output::error "traffic-duplicator could not be installed: line $2 failed: $1"
}
