#!/usr/bin/env bash
# Puts the launcher into the app's folder.

readonly LAUNCHER_NAME=start-traffic-duplicator

# launcher::install BUILDPACK_DIR TARGET_DIR
launcher::install() {
	local buildpack_dir=$1 target_dir=$2 file
	file=$(launcher::find_or_build "$buildpack_dir")
	mkdir -p "$target_dir"
	install -m 0755 "$file" "$target_dir/$LAUNCHER_NAME"
	launcher::check "$target_dir/$LAUNCHER_NAME"
}

# The launcher's file: beside this buildpack, or built here. Prints its path.
launcher::find_or_build() {
	local buildpack_dir=$1 candidate
	for candidate in "$buildpack_dir/$LAUNCHER_NAME.pyz" "$buildpack_dir/../dist/$LAUNCHER_NAME.pyz"; do
		if [[ -f $candidate ]]; then
			echo "$candidate"
			return
		fi
	done
	output::detail "Building $LAUNCHER_NAME.pyz" >&2
	local log
	log=$(mktemp)
	if ! /usr/bin/env python3 "$buildpack_dir/../build.py" >"$log" 2>&1; then
		output::error "$LAUNCHER_NAME.pyz could not be built with this image's python3:" "$(tail -n 1 "$log")" \
			"Build it elsewhere (python3 build.py) and put it beside this buildpack's bin."
		rm -f "$log"
		exit 1
	fi
	rm -f "$log"
	echo "$buildpack_dir/../dist/$LAUNCHER_NAME.pyz"
}

# Says which version it is, by running it once.
launcher::check() {
	local version
	if ! version=$("$1" --version 2>&1); then
		output::error "$LAUNCHER_NAME does not run in this image:" "$version" \
			"It needs Python 3.10 or newer, in the image or from a buildpack before this one."
		exit 1
	fi
	output::detail "$version"
}

# A .profile.d script runs before every process: silent, quick, and the same however often it runs.
launcher::put_on_path() {
	local build_dir=$1
	mkdir -p "$build_dir/.profile.d"
	# shellcheck disable=SC2016 # expanded when the app starts
	echo 'export PATH="$HOME/.traffic-duplicator/bin:$PATH"' >"$build_dir/.profile.d/traffic-duplicator.sh"
}

# The original of 2015 put its word into the app's own bin, and Procfiles name it there.
launcher::add_the_original_place() {
	local build_dir=$1
	if [[ ! -e $build_dir/bin/$LAUNCHER_NAME ]]; then
		mkdir -p "$build_dir/bin"
		ln -s "../.traffic-duplicator/bin/$LAUNCHER_NAME" "$build_dir/bin/$LAUNCHER_NAME"
	fi
}

launcher::say_what_to_do() {
	local build_dir=$1
	if [[ -f $build_dir/Procfile ]] && grep -q "$LAUNCHER_NAME" "$build_dir/Procfile"; then
		output::detail "Your Procfile uses it"
	else
		output::detail "Put the word into your Procfile: web: $LAUNCHER_NAME COMMAND..."
	fi
}
