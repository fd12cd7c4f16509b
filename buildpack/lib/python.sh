#!/usr/bin/env bash
# The Python that the launcher runs on: the build image's own, and a copy of it in the slug where the run image has none.
#
# Always /usr/bin/python3: what is first on PATH may be the app's, or an earlier buildpack's.

readonly PYTHON=/usr/bin/python3

# Folders and modules of the standard library that a launcher never needs; lib-dynload is judged by itself.
readonly PYTHON_LEFT_OUT=(
	__phello__ config-* ctypes/test curses dbm dist-packages distutils ensurepip idlelib lib2to3 pydoc_data sqlite3 test
	tkinter turtledemo unittest venv wsgiref xmlrpc
	EXTERNALLY-MANAGED LICENSE.txt __hello__.py antigravity.py doctest.py idle.py pdb.py pydoc.py sitecustomize.py
	this.py turtle.py
)

# Extension modules that nothing of ours imports, directly or through a library; some need libraries that run images lack.
readonly PYTHON_MODULES_LEFT_OUT='^(_codecs_|_crypt|_ctypes_test|_curses|_dbm|_gdbm|_lsprof|_multibytecodec|_sqlite3|_test|_tkinter|_xx|audioop|nis|ossaudiodev|readline|spwd|xx)'

python::version() {
	"$PYTHON" -I -S -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null
}

# Fails the build unless the image has a Python that serves.
python::require() {
	local version minor
	[[ -x $PYTHON ]] || output::fail "This build image has no $PYTHON, which the launcher runs on." \
		"Use a stack whose build image has Python 3.10 to 3.14: heroku-22, heroku-24, heroku-26, or install python3 in yours."
	if ! version=$(python::version); then
		output::fail "$PYTHON of this build image does not start." "It says: $("$PYTHON" -I -S -c '' 2>&1 | tail -n 1)"
	fi
	minor=${version#3.}
	minor=${minor%%.*}
	if [[ $version != 3.* ]] || ((minor < 10)); then
		output::fail "$PYTHON of this build image is Python $version; the launcher needs 3.10 or newer." \
			"Use a newer stack: heroku-22, heroku-24 or heroku-26."
	fi
	"$PYTHON" -I -S -c 'import compileall, json, ssl, zipfile' 2>/dev/null || output::fail \
		"$PYTHON of this build image has no complete standard library." \
		"It says: $("$PYTHON" -I -S -c 'import compileall, json, ssl, zipfile' 2>&1 | tail -n 1)" \
		"On Debian and Ubuntu: apt-get install python3 (python3-minimal is not enough)."
}

# The image that the app will run in, if it is known to have a fit Python at the same place; empty otherwise.
python::run_image_with_python() {
	case ${STACK:-${CNB_STACK_ID:-}} in
		heroku-22) echo heroku-22 ;;
	esac
}

# python::copy TARGET_DIR: the interpreter and what it needs of its library, as bytecode.
python::copy() {
	local target=$1 name source
	name=$("$PYTHON" -I -S -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
	source=$("$PYTHON" -I -S -c 'import os; print(os.path.dirname(os.__file__))')
	mkdir -p "$target/bin" "$target/lib"
	cp "$(readlink -f "$PYTHON")" "$target/bin/python3"
	cp -R -L "$source" "$target/lib/$name"
	python::trim "$target/lib/$name"
	python::compile "$target/lib/$name" "$name" -b
	find "$target/lib/$name" -name '*.py' -delete
}

python::trim() {
	local library=$1 name file
	for name in "${PYTHON_LEFT_OUT[@]}"; do
		# shellcheck disable=SC2086 # a name may be a pattern
		rm -rf "${library:?}"/$name
	done
	find "$library" -name __pycache__ -prune -exec rm -rf {} +
	for file in "$library"/lib-dynload/*.so; do
		name=${file##*/}
		if [[ $name =~ $PYTHON_MODULES_LEFT_OUT ]]; then rm -f "$file"; fi
	done
}

# python::compile FOLDER SHOWN_FOLDER [OPTION]...: bytecode that no time stamp makes stale. The folder named in it is the one that a traceback shows.
python::compile() {
	local folder=$1 shown=$2
	shift 2
	"$PYTHON" -I -S -B -m compileall -q -f --invalidation-mode unchecked-hash -s "$folder" -p "$shown" "$@" "$folder"
}
