#!/usr/bin/env bash
# Which release this is, said without a Python.

# version::shown BUILDPACK_DIR
version::shown() {
	echo "traffic-duplicator $(sed -n 's/^version = "\(.*\)"$/\1/p' "$1/buildpack.toml")"
}
