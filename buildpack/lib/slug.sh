#!/usr/bin/env bash
# What goes into the slug, as one folder that may be moved: built aside, kept in the cache, copied from there.
#
# slug::provide sets, for the log and for the caller, SLUG_DIR: the finished folder in the cache.

SLUG_DIR=

# slug::provide BUILDPACK_DIR CACHE_DIR
slug::provide() {
	local buildpack_dir=$1 cache_dir=$2 key run_image
	python::require
	launcher::find_or_build "$buildpack_dir"
	run_image=$(python::run_image_with_python)
	key=$(slug::key "$buildpack_dir" "$LAUNCHER_FILE" "$run_image")
	SLUG_DIR=$cache_dir/$key
	if slug::is_whole "$SLUG_DIR"; then
		output::detail "Using what the last build left in the cache"
	else
		slug::build "$buildpack_dir" "$cache_dir" "$LAUNCHER_FILE" "$run_image"
	fi
	slug::say_python "$run_image"
}

# One hash of all that the folder is made from.
slug::key() {
	local buildpack_dir=$1 file=$2 run_image=$3
	{
		# shellcheck disable=SC2153 # lib/python.sh has it
		sha256sum "$file" "$(readlink -f "$PYTHON")" "$buildpack_dir"/lib/*.sh | cut -d ' ' -f 1
		if [[ -f $buildpack_dir/gor/goreplay ]]; then sha256sum "$buildpack_dir/gor/goreplay" | cut -d ' ' -f 1; fi
		python::version
		printf '%s\n' "vendored unless: $run_image" "$(uname -m)"
	} | sha256sum | cut -c 1-32
}

# Whether the folder $1 has every file that was put into it, unchanged.
slug::is_whole() {
	[[ -f $1.sums ]] && (cd "$1" 2>/dev/null && sha256sum --quiet --check "../${1##*/}.sums" >/dev/null 2>&1)
}

slug::build() {
	local buildpack_dir=$1 cache_dir=$2 file=$3 run_image=$4 aside=$2/unfinished log status=0
	log=$(mktemp)
	# In the background, because `set -e` means nothing in a command whose failure is looked at.
	{
		trap - ERR
		slug::put_together "$buildpack_dir" "$cache_dir" "$file" "$run_image" "$aside"
	} >"$log" 2>&1 &
	wait "$!" || status=$?
	if ((status != 0)); then
		rm -rf "$cache_dir"
		output::fail "The launcher can't be put together in CACHE_DIR, ${cache_dir%/*}: $(tail -n 1 "$log")" \
			"Make room there, or take this buildpack off the app's list."
	fi
	rm -f "$log"
	slug::try "$aside"
	mv "$aside" "$SLUG_DIR"
	mv "$SLUG_DIR.sums.unfinished" "$SLUG_DIR.sums"
}

# slug::put_together BUILDPACK_DIR CACHE_DIR FILE RUN_IMAGE ASIDE: all of it, and its sums, beside its place.
slug::put_together() {
	local buildpack_dir=$1 cache_dir=$2 file=$3 run_image=$4 aside=$5
	rm -rf "$cache_dir"
	mkdir -p "$aside"
	launcher::unpack "$file" "$aside"
	if [[ -z $run_image ]]; then python::copy "$aside/python"; fi
	gor::copy "$buildpack_dir" "$aside"
	(cd "$aside" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$SLUG_DIR.sums.unfinished"
}

# Runs the finished folder as a dyno would, and with what an app's own Python leaves in the environment.
slug::try() {
	local folder=$1 said python=$PYTHON
	local poisoned=(PYTHONHOME=/nonexistent PYTHONPATH=/nonexistent PYTHONSTARTUP=/nonexistent HOME=/nonexistent)
	if [[ -x $folder/python/bin/python3 ]]; then
		python=$folder/python/bin/python3
		if ! said=$(cd / && env -i "${poisoned[@]}" "$python" -I -S -c 'import ssl, ctypes, hashlib, encodings.idna' 2>&1); then
			output::fail "The copy of $PYTHON does not run: ${said##*$'\n'}" \
				"Please report this where the buildpack is from, with the stack's name: ${STACK:-unknown}."
		fi
	fi
	if ! said=$(cd / && env -i "${poisoned[@]}" "$folder/bin/$LAUNCHER_NAME" --version 2>&1) ||
		! said=$(cd / && env -i "${poisoned[@]}" "$python" -I -S -u "$folder/boot.py" --replay --help 2>&1); then
		output::fail "$LAUNCHER_NAME does not run in this image: ${said##*$'\n'}" \
			"Please report this where the buildpack is from, with the stack's name: ${STACK:-unknown}."
	fi
}

slug::say_python() {
	local run_image=$1
	if [[ -n $run_image ]]; then
		output::detail "Python: $PYTHON, $(python::version), which $run_image has at run time, too"
	else
		output::detail "Python: a copy of $PYTHON, $(python::version), in the slug, because the run image may have none"
	fi
}
