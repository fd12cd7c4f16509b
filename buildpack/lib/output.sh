#!/usr/bin/env bash
# What a person reads in the build log.

output::step() {
	printf -- '-----> %s\n' "$*"
}

output::detail() {
	printf '       %s\n' "$*"
}

# Each argument is a line; the first says what is wrong, the last what to do.
output::warning() {
	printf ' !     %s\n' "$@" >&2
}

output::error() {
	output::warning "$@"
}

# Ends the build.
output::fail() {
	output::error "$@"
	exit 1
}

output::unexpected_error() {
	output::error "traffic-duplicator could not be installed: ${BASH_SOURCE[1]##*/}, line $2: $1" \
		"Nothing of it is left in the app. To build without it, take this buildpack off the app's list."
}

# The folder $1 by a path that holds in every working folder; it need not be there.
output::absolute() {
	if [[ $1 == /* ]]; then echo "$1"; else echo "$PWD/$1"; fi
}

# Seconds since the time $1 (of EPOCHREALTIME), with one decimal.
output::seconds_since() {
	local micros=$((${EPOCHREALTIME/[.,]/} - ${1/[.,]/}))
	printf '%d.%d' $((micros / 1000000)) $((micros / 100000 % 10))
}

# Mebibytes of the folder or file $1.
output::size_of() {
	local kibibytes
	kibibytes=$(du -sk "$1" | cut -f 1)
	printf '%d.%d MiB' $((kibibytes / 1024)) $((kibibytes % 1024 * 10 / 1024))
}
