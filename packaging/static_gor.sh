#!/usr/bin/env bash
# static_gor.sh OUTPUT_FILE: gor 1.2.0 as one static file for this machine's architecture, which needs nothing of the
# system that it runs in; and in OUTPUT_FILE.LICENSE the licences of all that is linked in, where its sources come from
# and how it was built. Needs Debian's packages golang-go, gcc, libc6-dev, make, flex, bison and, for the first build,
# the package archive and the Go module proxy. What was built once is kept in XDG_CACHE_HOME, or ~/.cache.
# Exit status: 1 if something went wrong, 2 for wrong usage, 3 if this machine lacks a program or can't reach a source.
set -Eeuo pipefail
shopt -s inherit_errexit
trap 'said::explain_failure $? $LINENO "$BASH_COMMAND"' ERR

readonly GOR_MODULE=github.com/buger/goreplay GOR_VERSION=1.2.0
# go.sum's sum of the module's files. Among them is its own go.sum, which holds those of all other modules.
readonly GOR_SUM='h1:Z7Fu2oZgAEq64+cSjm9GSotAaPkU6qsepBK28S8yhug='
# What LICENSE.txt of this release puts under a licence that forbids redistribution.
readonly -a GOR_COMMERCIAL_FILES=(pro.go s3_reader.go output_s3.go)

readonly PCAP_VERSION=1.10.3
readonly PCAP_TARBALL=libpcap_$PCAP_VERSION.orig.tar.gz
readonly PCAP_SHA256=2a8885c403516cf7b0933ed4b14d6caa30e02052489ebd414dc75ac52e7559e6
# Each of these would bring a library that has no static form, or a driver that a gor without --input-raw never calls.
readonly -a PCAP_OPTIONS=(
  --disable-shared --disable-dbus --disable-rdma --disable-usb --disable-bluetooth --disable-netmap --disable-remote
  --without-libnl --without-dpdk --without-dag --without-septel --without-snf --without-turbocap
)

readonly GO_TAGS=netgo,osusergo
# -buildid=: it would hold a sum of the compilers' words, among them the names of temporary folders.
readonly GO_LINKING='-s -buildid= -linkmode external -extldflags "-static"'

readonly CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/traffic-duplicator/static-gor
readonly COMMON_LICENCES=/usr/share/common-licenses
SCRIPT=$(realpath "${BASH_SOURCE[0]}")
readonly SCRIPT

said::step() { printf -- '-----> %s\n' "$*"; }
said::error() { printf '%s\n' "$@" | sed 's/^/ !     /' >&2; }

said::fail() {
  said::error "$@"
  exit 1
}

# The machine is not able to do it: nothing is wrong with what was built or found.
said::lacking() {
  said::error "$@"
  exit 3
}

said::explain_failure() {
  if (($1 != 3)); then said::error "static_gor.sh failed at line $2: $3"; fi
}

# said::only_on_failure LOG COMMAND...: its output goes to LOG, of which a person sees the end if it fails.
said::only_on_failure() {
  local log=$1
  shift
  if "$@" >"$log" 2>&1; then return; fi
  said::fail "failed: $*" "$(tail -n 20 "$log")"
}

machine::check_programs() {
  local name missing=()
  for name in gcc make flex bison readelf apt-get; do
    command -v "$name" >/dev/null || missing+=("$name")
  done
  if ! command -v go >/dev/null; then PATH=$PATH:/usr/local/go/bin; fi # where Go's own archives are unpacked
  command -v go >/dev/null || missing+=(go)
  if ((${#missing[@]})); then
    said::lacking "To build a static gor this machine lacks: ${missing[*]}" \
      "On Debian: apt-get install golang-go gcc libc6-dev make flex bison"
  fi
  if [[ ! -e $(machine::libc) ]]; then said::lacking "There is no libc.a: apt-get install libc6-dev"; fi
}

machine::libc() { gcc -print-file-name=libc.a; }

# The compilers' settings are this script's alone: of the person's own only those stay that say where modules come from.
machine::settle_environment() {
  local name
  for name in GOPROXY GONOPROXY GOPRIVATE GOINSECURE GOMODCACHE GOCACHE; do
    export "$name=$(cd / && go env "$name")"
  done
  unset GOOS GOARCH GOAMD64 GOARM64 GO386 GOARM GOEXPERIMENT GODEBUG GCCGO
  unset CFLAGS CPPFLAGS LDFLAGS CPATH C_INCLUDE_PATH LIBRARY_PATH CGO_CPPFLAGS
  export LC_ALL=C CC=gcc CGO_ENABLED=1
  export GOENV=off GOWORK=off GOTOOLCHAIN=local GO111MODULE=on GOFLAGS=-mod=readonly
  export GOSUMDB=off # every sum is pinned: here, or in the go.sum that GOR_SUM covers
}

# Everything that the file's bytes depend on.
cache::key() {
  {
    sha256sum <"$SCRIPT"
    go version
    gcc --version
    gcc -dumpmachine
    sha256sum <"$(machine::libc)"
  } | sha256sum | cut -c 1-24
}

# cache::put FOLDER KEY: whole or not at all; of two that come at once the first stays.
cache::put() {
  local staged
  mkdir -p "$CACHE"
  staged=$(mktemp -d "$CACHE/.new.XXXXXX")
  cp "$1/gor" "$1/gor.LICENSE" "$staged/"
  chmod 0755 "$staged"
  mv -T "$staged" "$CACHE/$2" 2>/dev/null || rm -rf "$staged"
}

# ---- libpcap -------------------------------------------------------------------------------------------------------

# pcap::fetch FOLDER: the unpacked sources.
pcap::fetch() {
  local folder=$1 sum
  apt::fetch_pcap "$folder"
  sum=$(sha256sum <"$folder/$PCAP_TARBALL" | cut -d ' ' -f 1)
  if [[ $sum != "$PCAP_SHA256" ]]; then
    said::fail "$PCAP_TARBALL has the SHA-256 sum $sum, not $PCAP_SHA256"
  fi
  tar -xzf "$folder/$PCAP_TARBALL" -C "$folder" --strip-components=1 --no-same-owner
}

# The machine's package archives, asked for sources, with lists and settings in a folder of their own.
apt::fetch_pcap() {
  local folder=$1/apt file found
  mkdir -p "$folder"/{parts,lists/partial,cache/archives/partial}
  apt::write_settings "$folder" >"$folder/apt.conf"
  export APT_CONFIG=$folder/apt.conf
  # A third party's archive may have no sources and fail: what counts is whether the package is found.
  apt-get -q update >"$folder/log" 2>&1 || true
  found=$(apt-cache showsrc libpcap 2>>"$folder/log" | sed -n 's/^Version: //p' | sort -u) || true
  if [[ -z $found ]]; then
    said::lacking "apt-get finds no sources of libpcap:" "$(tail -n 3 "$folder/log")"
  fi
  if ! file=$(grep -m 1 "^$PCAP_VERSION-" <<<"$found"); then
    said::lacking "static_gor.sh pins libpcap $PCAP_VERSION (Debian 12), and this system's archive has $found"
  fi
  if ! (cd "$1" && apt-get -q source --download-only --tar-only "libpcap=$file") >>"$folder/log" 2>&1; then
    said::lacking "apt-get can't fetch the sources of libpcap $file:" "$(tail -n 3 "$folder/log")"
  fi
}

# Its Post-Invoke hooks clean the machine's own caches: they stay out.
apt::write_settings() {
  local folder=$1 list parts file
  eval "$(apt-config shell list Dir::Etc::sourcelist/f parts Dir::Etc::sourceparts/d)"
  for file in "$list" "$parts"/*.list; do
    if [[ -f $file ]]; then sed -E 's/^deb[[:space:]]/deb-src /' "$file" >"$folder/parts/${file##*/}"; fi
  done
  for file in "$parts"/*.sources; do
    if [[ -f $file ]]; then sed -E 's/^Types:.*/Types: deb-src/I' "$file" >"$folder/parts/${file##*/}"; fi
  done
  apt-config dump | grep -v '^APT::Update::Post-Invoke'
  printf '%s "%s";\n' Dir::Etc::main /dev/null Dir::Etc::parts /dev/null Dir::Etc::sourcelist /dev/null \
    Dir::Etc::sourceparts "$folder/parts" Dir::State::lists "$folder/lists" Dir::Cache "$folder/cache"
}

# pcap::build FOLDER: libpcap.a beside its headers.
pcap::build() (
  cd "$1"
  said::only_on_failure configure.log ./configure "${PCAP_OPTIONS[@]}"
  said::only_on_failure make.log make -j "$(nproc)" libpcap.a
)

# ---- gor -----------------------------------------------------------------------------------------------------------

# gor::fetch FOLDER: the module's files in FOLDER/GOR_MODULE@vGOR_VERSION, and the modules that it needs in Go's cache.
gor::fetch() {
  local folder=$1 name=$GOR_MODULE@v$GOR_VERSION sum
  if ! (cd / && GOFLAGS='' go mod download "$name") >"$folder/download.log" 2>&1; then
    said::lacking "The Go module proxy does not give $name:" "$(tail -n 3 "$folder/download.log")"
  fi
  mkdir -p "$folder/${GOR_MODULE%/*}"
  cp -R "$GOMODCACHE/$name" "$folder/$name"
  sum=$(gor::sum "$folder" "$name")
  if [[ $sum != "$GOR_SUM" ]]; then
    said::fail "The sources of gor $GOR_VERSION have the sum $sum, not $GOR_SUM"
  fi
  chmod -R u+w "$folder/$name"
  gor::leave_commercial_files_out "$folder/$name"
  gor::wait_as_every_machine_can "$folder/$name/capture/sock_linux.go"
  if ! gor::list_packages "$folder/$name" >"$folder/packages" 2>"$folder/download.log"; then
    if grep -qiE 'checksum mismatch|missing go.sum' "$folder/download.log"; then
      said::fail "Not the modules that gor's go.sum lists:" "$(tail -n 20 "$folder/download.log")"
    fi
    said::lacking "The Go module proxy does not give all modules that gor needs:" "$(tail -n 3 "$folder/download.log")"
  fi
  (cd "$folder/$name" && said::only_on_failure "$folder/verify.log" go mod verify)
}

# gor::sum FOLDER NAME: go.sum's "h1": the SHA-256 sum of what sha256sum prints for all files in order, in base64.
gor::sum() (
  cd "$1"
  digest=$(find "$2" -type f | sort | xargs -d '\n' sha256sum | sha256sum | cut -d ' ' -f 1 | sed 's/../\\x&/g')
  printf 'h1:%s\n' "$(printf '%b' "$digest" | base64)"
)

# In the open edition those files only refuse s3:// addresses; so does what takes their place.
gor::leave_commercial_files_out() (
  cd "$1"
  rm "${GOR_COMMERCIAL_FILES[@]}"
  cat >without_commercial_files.go <<'END'
// Added by traffic-duplicator in November 2026 in place of pro.go, s3_reader.go and output_s3.go, which GoReplay's
// LICENSE.txt puts under a commercial licence. What they offer is refused, as by the originals without that licence.

package main

import (
	"io"
	"log"

	"github.com/aws/aws-sdk-go/aws"
)

// PRO says that this is not the commercial edition.
var PRO = false

func refuseS3() {
	log.Fatal("Using S3 output and input requires PRO license")
}

// NewS3Output refuses --output-file s3://...
func NewS3Output(_ string, _ *FileOutputConfig) io.Writer {
	refuseS3()
	return nil
}

// NewS3ReadCloser refuses --input-file s3://...
func NewS3ReadCloser(_ string) io.ReadCloser {
	refuseS3()
	return nil
}

func awsConfig() *aws.Config {
	refuseS3()
	return nil
}

func parseS3Url(_ string) (bucket, key string) {
	refuseS3()
	return "", ""
}
END
)

# Linux has no poll system call on arm64, where this release does not compile as it is.
gor::wait_as_every_machine_can() {
  sed -i -e '1i // Changed by traffic-duplicator in November 2026: waits by unix.Poll.\n' \
    -e 's/_, _, e := unix.Syscall(unix.SYS_POLL, .*)/_, e := unix.Poll([]unix.PollFd{*poll}, int(sock.pollTimeout))/' \
    -e 's/if e != 0 && e != unix.EINTR/if e != nil \&\& e != unix.EINTR/' "$1"
}

# gor::list_packages MODULE_FOLDER: for each package that is linked in and neither gor's nor of Go's own library, its
# module's folder, a tab, its own.
gor::list_packages() (
  cd "$1"
  go list -deps -tags "$GO_TAGS" -f '{{with .Module}}{{if not .Main}}{{.Dir}}{{"\t"}}{{$.Dir}}{{end}}{{end}}' .
)

# gor::build FOLDER PCAP_FOLDER: FOLDER/gor.
gor::build() {
  local folder=$1
  export CGO_CFLAGS="-O2 -I$2" CGO_LDFLAGS="-L$2"
  (
    cd "$folder/$GOR_MODULE@v$GOR_VERSION"
    said::only_on_failure "$folder/build.log" go build -trimpath -buildvcs=false -tags "$GO_TAGS" \
      -ldflags "$GO_LINKING" -o "$folder/gor" .
  )
}

# gor::check FILE: it is static, starts, and is the release that it should be.
gor::check() {
  local headers found help
  headers=$(readelf --wide --program-headers --dynamic "$1")
  if found=$(grep -E 'INTERP|NEEDED' <<<"$headers"); then
    said::fail "$1 is not static:" "$found"
  fi
  help=$(env -i "$1" --help 2>&1 || true) # gor has no word that ends with 0
  if ! grep -qx "Current Version: v$GOR_VERSION" <<<"$help"; then
    said::fail "$1 does not say that it is gor $GOR_VERSION:" "$(head -n 5 <<<"$help")"
  fi
}

# ---- licences ------------------------------------------------------------------------------------------------------

# licence::write FOLDER PCAP_FOLDER: the whole text, on standard output.
licence::write() {
  local folder=$1 libc
  libc=$(dpkg-query -W -f '${source:Package} ${source:Version}' libc6-dev)
  licence::describe "$libc"
  licence::title "Linked-in modules: path, version, sum of the sources"
  go version -m "$folder/gor" | sed -n 's/^\tdep\t//p'
  licence::title "GoReplay $GOR_VERSION: LICENSE.txt"
  cat "$folder/$GOR_MODULE@v$GOR_VERSION/LICENSE.txt"
  licence::title "libpcap $PCAP_VERSION: LICENSE"
  cat "$2/LICENSE"
  licence::of_modules "$folder"
  licence::title "Go's runtime and library ($(go version | cut -d ' ' -f 3)): LICENSE"
  licence::of_go
  licence::title "GNU C Library ($libc): copyright"
  cat /usr/share/doc/libc6-dev/copyright
  local name
  for name in LGPL-3 GPL-3 LGPL-2.1; do
    licence::title "$name"
    cat "$COMMON_LICENCES/$name"
  done
  licence::title "How it was built: static_gor.sh"
  cat "$SCRIPT"
}

licence::describe() {
  cat <<END
The file "gor" beside this one is GoReplay $GOR_VERSION, a program by Leonid Bugaev and others, changed as said below. It
is free software: you may use, change and pass it on under the GNU Lesser General Public License, version 3, which adds
permissions to the GNU General Public License, version 3. It comes without any warranty. Both licences are below, with
those of everything that is linked into this static file: libpcap, Go modules, Go's library, the GNU C Library.

What was changed in November 2026, by the script at the end of this file:
- ${GOR_COMMERCIAL_FILES[*]}, which GoReplay's LICENSE.txt puts under a commercial licence, are left out. In
  their place is without_commercial_files.go, which refuses what they offer, as they do themselves without that licence.
- capture/sock_linux.go waits by unix.Poll, because Linux on arm64 has no poll system call.

Its sources; those of GoReplay, the Go modules and libpcap were checked against these sums when it was built:
  GoReplay     Go module $GOR_MODULE v$GOR_VERSION, $GOR_SUM
               GOSUMDB=off go mod download $GOR_MODULE@v$GOR_VERSION
  Go modules   listed below, with the sums that GoReplay's go.sum has for them
  libpcap      $PCAP_TARBALL, SHA-256 $PCAP_SHA256
               apt-get source libpcap (Debian)
  C library    $1
               apt-get source ${1/ /=} (Debian or what derives from it)

How it was built: with $(go version) and $(gcc --version | sed 1q),
by that script. With the same tools and C library it gives the same bytes again. To link it with
a changed library, change the sources that the script fetches, or the C library's libc.a, and run it.
END
}

licence::title() { printf '\n\n==== %s ====\n\n' "$*"; }

# licence::of_modules FOLDER: each licence file in the folder of a linked-in package, or above it in its module.
licence::of_modules() {
  local files module folder file
  files=$(while IFS=$'\t' read -r module folder; do licence::files "$module" "$folder"; done <"$1/packages" | sort -u)
  while read -r module; do
    if ! grep -qF "$module/" <<<"$files"; then
      said::fail "There is no licence in $module"
    fi
  done < <(cut -f 1 "$1/packages" | sort -u)
  while read -r file; do
    licence::title "${file#"$GOMODCACHE"/}"
    cat "$file"
  done <<<"$files"
}

# licence::files MODULE_FOLDER PACKAGE_FOLDER
licence::files() {
  local module=$1 folder=$2
  while [[ $folder/ == "$module"/* ]]; do
    find "$folder" -maxdepth 1 -type f -regextype egrep -iregex '.*/(licen[cs]e|copying|notice)(\.[a-z]+)?'
    folder=${folder%/*}
  done
}

# In Go's own archives it is in GOROOT, in Debian's packages where Debian keeps them.
licence::of_go() {
  local root file
  root=$(go env GOROOT)
  for file in "$root/LICENSE" "/usr/share/doc/golang-${root##*/go-}-go/copyright" /usr/share/doc/golang-go/copyright; do
    if [[ -f $file ]]; then
      cat "$file"
      return
    fi
  done
  said::fail "Go's licence is not where it should be: $root/LICENSE"
}

# ---- all of it -----------------------------------------------------------------------------------------------------

main() {
  local output key work
  if [[ $# != 1 || $1 == -* || -z $1 || -d $1 ]]; then
    said::error "Usage: static_gor.sh OUTPUT_FILE"
    exit 2
  fi
  output=$1
  machine::check_programs
  machine::settle_environment
  key=$(cache::key)
  if [[ ! -x $CACHE/$key/gor ]]; then
    work=$(mktemp -d)
    # shellcheck disable=SC2064 # the folder's name is known now, and local
    trap "rm -rf '$work'" EXIT
    build "$work"
    cache::put "$work/gor" "$key"
  fi
  mkdir -p "$(dirname "$output")"
  install -m 0644 "$CACHE/$key/gor.LICENSE" "$output.LICENSE"
  install -m 0755 "$CACHE/$key/gor" "$output"
}

# build WORK_FOLDER: gor and gor.LICENSE in WORK_FOLDER/gor.
build() {
  local pcap=$1/pcap gor=$1/gor
  mkdir "$pcap" "$gor"
  said::step "Fetching the sources of gor $GOR_VERSION and libpcap $PCAP_VERSION"
  pcap::fetch "$pcap"
  gor::fetch "$gor"
  said::step "Building a static gor $GOR_VERSION with $(go version)"
  pcap::build "$pcap"
  gor::build "$gor" "$pcap"
  gor::check "$gor/gor"
  licence::write "$gor" "$pcap" >"$gor/gor.LICENSE"
}

main "$@"
