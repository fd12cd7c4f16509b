#!/usr/bin/env bash
# Looks at how the app uses the word, before it boots: with the launcher's own dry run.

# review::check APP_DIR SLUG_DIR ENV_DIR: prints what it finds. Fails only where the app could not boot: with --strict.
review::check() {
	local app_dir=$1 slug_dir=$2 env_dir=$3 said status=0 variables=()
	while IFS= read -r -d '' said; do variables+=("$said"); done < <(review::variables "$app_dir" "$env_dir")
	said=$(cd "$app_dir" && env -i PATH="$PATH" "${variables[@]}" "$slug_dir/bin/$LAUNCHER_NAME" --dry-run --build 2>&1) ||
		status=$?
	review::show <<<"$said"
	if ((status != 0)) && review::is_strict "$env_dir"; then
		output::fail "TRAFFIC_DUPLICATOR_STRICT is set, and so the app would not boot with what is said above." \
			"Mend it, or take that variable away: then the app boots unmirrored."
	fi
}

# A warning or a problem stands out, with the lines that it goes on with (they are indented).
review::show() {
	local line say=output::detail
	while IFS= read -r line; do
		case $line in
			"warning: "* | "problem: "*) say=output::warning ;;
			"  "*) ;;
			*) say=output::detail ;;
		esac
		"$say" "$line"
	done
}

# NAME=VALUE, each with a NUL behind it: our own config variables, and those that the Procfile or gor.options name. No
# others are read.
review::variables() {
	local app_dir=$1 env_dir=$2 file name
	[[ -d $env_dir ]] || return 0
	for file in "$env_dir"/TRAFFIC_DUPLICATOR_*; do
		if [[ -f $file ]]; then printf '%s=%s\0' "${file##*/}" "$(<"$file")"; fi
	done
	for file in Procfile config/gor.options "$(cat "$env_dir/TRAFFIC_DUPLICATOR_GOR_OPTIONS" 2>/dev/null || true)"; do
		file=$app_dir/$file
		[[ -f $file ]] || continue
		while IFS= read -r name; do
			if [[ -f $env_dir/$name ]]; then printf '%s=%s\0' "$name" "$(<"$env_dir/$name")"; fi
		done < <(review::names_in "$file")
	done
}

# The variables that the file $1 mentions; it need not be a text.
review::names_in() {
	{ grep -aEo '[$][{]?[A-Za-z_][A-Za-z_0-9]*' "$1" || true; } | tr -d '{$' | sort -u
}

review::is_strict() {
	[[ "$(cat "$1/TRAFFIC_DUPLICATOR_STRICT" 2>/dev/null || true)" =~ ^(1|[Tt]rue|TRUE|[Yy]es|YES|[Oo]n|ON)$ ]]
}
