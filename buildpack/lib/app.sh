#!/usr/bin/env bash
# What changes in the app's own folder: .traffic-duplicator, one script in .profile.d, one link in bin.

app::require() {
	[[ -d $1 ]] || output::fail "BUILD_DIR, $1, is no folder." "Call bin/compile with BUILD_DIR CACHE_DIR ENV_DIR."
}

# app::install SLUG_DIR BUILD_DIR: beside the place first, so that a full disk leaves no half of it behind.
app::install() {
	local slug_dir=$1 target=$2/.traffic-duplicator
	rm -rf "$target" "$target.unfinished"
	if ! cp -R "$slug_dir" "$target.unfinished"; then
		rm -rf "$target.unfinished"
		output::fail "There is no room for the launcher in the app's folder ($(output::size_of "$slug_dir"))." \
			"Make the slug smaller, or take this buildpack off the app's list."
	fi
	mv "$target.unfinished" "$target"
}

# A .profile.d script runs before every process: silent, quick, and the same however often it runs.
app::put_on_path() {
	mkdir -p "$1/.profile.d"
	# shellcheck disable=SC2016 # expanded when the app starts
	echo 'export PATH="$HOME/.traffic-duplicator/bin:$PATH"' >"$1/.profile.d/traffic-duplicator.sh"
}

# The original of 2015 put its word into the app's own bin, and Procfiles name it there.
app::add_the_original_place() {
	local link=$1/bin/$LAUNCHER_NAME
	if [[ ! -e $link && ! -L $link ]]; then
		mkdir -p "$1/bin"
		ln -s "../.traffic-duplicator/bin/$LAUNCHER_NAME" "$link"
	fi
}
