#!/usr/bin/env bash
# The launcher's own file: where it is, or how it is built; and what of it goes into the slug.

readonly LAUNCHER_NAME=start-traffic-duplicator
LAUNCHER_FILE=

# Sets LAUNCHER_FILE: the file beside this buildpack's bin, as in the release archive, or one that is built here.
launcher::find_or_build() {
	local buildpack_dir=$1
	LAUNCHER_FILE=$1/$LAUNCHER_NAME.pyz
	if [[ ! -f $LAUNCHER_FILE ]]; then
		LAUNCHER_FILE=$buildpack_dir/../dist/$LAUNCHER_NAME.pyz
		[[ -f $LAUNCHER_FILE ]] || launcher::build "$buildpack_dir/.."
	fi
	if ! "$PYTHON" -I -S -c 'import sys, zipfile; sys.exit(zipfile.ZipFile(sys.argv[1]).testzip() is not None)' \
		"$LAUNCHER_FILE" 2>/dev/null; then
		output::fail "$LAUNCHER_NAME.pyz of this buildpack is damaged." \
			"Make the archive anew (python3 build.py buildpack) and put it in the place of the old one."
	fi
}

# A checkout has no built file: that takes this image's Python, its pip, and a way to the package index.
launcher::build() {
	local checkout=$1 log said
	log=$(mktemp)
	output::detail "Building $LAUNCHER_NAME.pyz from the buildpack's sources"
	if ! "$PYTHON" -I "$checkout/build.py" >"$log" 2>&1; then
		mapfile -t said < <(tail -n 5 "$log") # pip's own words, too
		output::error "$LAUNCHER_NAME.pyz could not be built with $PYTHON ($(python::version)):" "${said[@]}" \
			"Heroku's build images have no pip. Make the archive elsewhere: python3 build.py buildpack" \
			"and list its address as the buildpack, instead of the git repository's."
		rm -f "$log"
		exit 1
	fi
	rm -f "$log"
}

# launcher::unpack FILE TARGET_DIR: wrapper, boot.py, and the packages with bytecode, so that a boot unpacks and compiles nothing.
launcher::unpack() {
	local file=$1 target=$2
	"$PYTHON" -I -S -m zipfile -e "$file" "$target/unpacked"
	mkdir -p "$target/bin"
	mv "$target/unpacked/site-packages" "$target/packages"
	mv "$target/unpacked/slug/$LAUNCHER_NAME" "$target/bin/$LAUNCHER_NAME"
	mv "$target/unpacked/slug/boot.py" "$target/boot.py"
	mv "$target/unpacked/LICENSE" "$target/LICENSE"
	rm -rf "$target/unpacked"
	python::compile "$target/packages" packages
	chmod -R u=rwX,go=rX "$target"
	chmod 755 "$target/bin/$LAUNCHER_NAME"
}
