#!/usr/bin/env bash
# What changes in the app's own folder: .traffic-duplicator, one script in .profile.d, one link in bin.

readonly APP_LINK=../.traffic-duplicator/bin/$LAUNCHER_NAME

app::require() {
	[[ -d $1 ]] || output::fail "BUILD_DIR, $1, is no folder." "Usage: bin/compile BUILD_DIR CACHE_DIR [ENV_DIR]"
	if [[ -e $1/.profile.d && ! -d $1/.profile.d ]]; then
		output::fail "The app's .profile.d is no folder, but scripts that run before the app must be in one." \
			"Rename it, or take it out of the app."
	fi
}

# app::install SLUG_DIR BUILD_DIR: beside the place first, so that a full disk leaves no half of it behind.
app::install() {
	local slug_dir=$1 target=$2/.traffic-duplicator said
	rm -rf "$target" "$target.unfinished"
	if ! said=$(cp -R "$slug_dir" "$target.unfinished" 2>&1); then
		rm -rf "$target.unfinished"
		output::fail "The launcher ($(output::size_of "$slug_dir")) can't be put into the app's folder: ${said##*: }" \
			"Make room there, or take this buildpack off the app's list."
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
	if [[ -e $1/bin && ! -d $1/bin ]]; then
		output::detail "bin is a file of the app's: there is no bin/$LAUNCHER_NAME; write the word alone"
	elif app::has_our_link "$1"; then
		return
	elif [[ -e $link || -L $link ]]; then
		output::detail "bin/$LAUNCHER_NAME is the app's own and stays as it is; the word alone is this buildpack's"
	else
		mkdir -p "$1/bin"
		ln -s "$APP_LINK" "$link"
	fi
}

app::has_our_link() {
	[[ -L $1/bin/$LAUNCHER_NAME && $(readlink "$1/bin/$LAUNCHER_NAME") == "$APP_LINK" ]]
}

# After a failure: nothing of ours stays.
app::remove() {
	rm -rf "$1/.traffic-duplicator" "$1/.traffic-duplicator.unfinished"
	rm -f "$1/.profile.d/traffic-duplicator.sh" 2>/dev/null || true
	if app::has_our_link "$1"; then rm -f "$1/bin/$LAUNCHER_NAME"; fi
}
