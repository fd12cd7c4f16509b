#!/usr/bin/env bash
# gor, where the archive has one. Which replayer serves is the launcher's decision, at each boot.

# gor::copy BUILDPACK_DIR TARGET_DIR
gor::copy() {
	local bundled=$1/gor target=$2
	if [[ -x $bundled/goreplay ]] && "$bundled/goreplay" --help >/dev/null 2>&1 </dev/null || (($? == 2)); then
		cp "$bundled/goreplay" "$target/gor"
		cp "$bundled/LICENSE" "$target/gor.LICENSE"
	fi
}

# gor::say APP_DIR SLUG_DIR
gor::say() {
	local app_dir=$1 slug_dir=$2 candidate
	for candidate in bin/gor vendor/gor; do
		if [[ -x $app_dir/$candidate ]]; then
			output::detail "gor: the app's own $candidate"
			return
		fi
	done
	if [[ -x $slug_dir/gor ]]; then
		output::detail "gor: this buildpack's, for options that the built-in replayer lacks"
	else
		output::detail "gor: none; the built-in replayer serves"
	fi
}
