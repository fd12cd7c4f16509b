#!/bin/sh
# start-traffic-duplicator: the lines before the zip archive that Python runs, and the wrapper in the slug. They find a
# Python of 3.10 or newer that starts, and hand it the environment as it was given: a shell adds PWD, SHLVL or _, and
# dash drops every variable whose name is not a shell's (`app.mode`). The found Python compares the two and says what
# `env` must put back. Without such a Python, or if what it should run is damaged, they become the command itself,
# unmirrored; with TRAFFIC_DUPLICATOR_ENABLED=false without any Python. (Names start with td_: none meets a variable.)
# build.py makes both forms: it fills in the launcher's options, and leaves out the lines marked for the other form.
unset td_words td_status td_line td_word td_done # so that none is exported: they change after what is handed down was compared

# ---- the command by itself ----

td_value_flags='@VALUE_FLAGS@' td_switches='@SWITCHES@'

# Sets td_count, the number of words before COMMAND, and td_port, td_socket, td_strict, td_quiet as options and variables say.
# False if no command is to be started: an option asks for something else, or the words are wrong.
td_read_words() {
  td_count=$# td_port=${PORT-} td_socket=${TRAFFIC_DUPLICATOR_APP_SOCKET-} td_strict=${TRAFFIC_DUPLICATOR_STRICT-}
  td_quiet=${TRAFFIC_DUPLICATOR_QUIET-}
  while [ $# -gt 0 ]; do
    case $1 in
      --) shift; break ;;
      -?*) td_flag=${1%%=*} td_value=true ;;
      *) break ;;
    esac
    case " $td_value_flags " in
      *" $1 "*) shift; [ $# -gt 0 ] || return 1; td_value=$1 ;;
      *) case $1 in *=*) td_value=${1#*=} ;; esac ;;
    esac
    case " $td_value_flags $td_switches " in *" $td_flag "*) ;; *) return 1 ;; esac
    case $td_flag in
      --port) td_is_port "$td_value" || return 1; td_port=$td_value ;;
      --app-socket) td_socket=$td_value ;;
      --strict) td_strict=$td_value ;;
      --quiet) td_quiet=$td_value ;;
    esac
    shift
  done
  td_count=$((td_count - $#))
  case $* in *'{socket}'*) td_socket='{socket}' ;; esac
  [ -n "$td_port${DYNO-}" ] || td_port=@DEFAULT_PORT@
  td_is_port "$td_port" || td_port=''
  [ -n "$td_port" ] || [ -z "${DYNO-}" ] || td_socket='' # a worker's: nobody connects
  [ $# -gt 0 ]
}

td_is_port() {
  case $1 in '' | *[!0-9]* | ??????*) return 1 ;; esac
  [ "$1" -ge 1 ] && [ "$1" -le 65535 ]
}

# td_run_alone LEVEL REASON WORD...: becomes the command in these words, which td_read_words has read.
td_run_alone() {
  td_line="traffic-duplicator at=unmirrored level=$1 reason=\"$2\" app=\"by itself, unmirrored\""
  case $td_quiet:$1 in [Tt][Rr][Uu][Ee]:info | 1:info | [Yy][Ee][Ss]:info | [Oo][Nn]:info) td_line='' ;; esac
  shift $((td_count + 2))
  for td_word; do
    shift
    td_done=
    while [ -n "$td_port" ]; do
      case $td_word in *'{port}'*) ;; *) break ;; esac
      td_done=$td_done${td_word%%'{port}'*}$td_port td_word=${td_word#*'{port}'}
    done
    set -- "$@" "$td_done$td_word"
  done
  if [ -n "$td_port" ]; then export PORT="$td_port"; fi
  [ -z "$td_line" ] || td_say "$td_line"
  exec "$@"
}

# A shell would end by SIGPIPE where nobody reads.
td_say() {
  trap '' PIPE
  printf '%s\n' "$1" >&2
  trap - PIPE
}

# A shell adds PWD. Status 1 of grep: it was not given.
td_forget_pwd() {
  [ -n "$td_forks" ] || return
  grep -zq '^PWD=' "/proc/$$/environ" 2>/dev/null
  [ $? -ne 1 ] || unset PWD
}

# Whether a program finds the environment that this shell was given. (By its path, busybox starts it as another would.)
td_keeps_environment() {
  td_given=$(/usr/bin/sort -z "/proc/$$/environ" 2>/dev/null | tr '\0' '\n')
  [ -n "$td_given" ] && [ "$(/usr/bin/sort -z /proc/self/environ 2>/dev/null | tr '\0' '\n')" = "$td_given" ]
}

# ---- without the launcher ----

# td_give_up STATUS: starts nothing.
td_give_up() {
  td_say "Error: $td_reason"
  trap - EXIT
  exit "$1"
}

# td_fall_back WORD...: becomes the command in these words, unless that is not to be; td_reason says why.
td_fall_back() {
  td_level=error
  td_read_words "$@" || td_give_up 2
  if [ -z "$td_is_off" ]; then
    case $td_strict in 1 | [Tt][Rr][Uu][Ee] | [Yy][Ee][Ss] | [Oo][Nn]) td_give_up 2 ;; esac
  fi
  if [ -n "$td_socket" ]; then
    td_reason="$td_reason; an app on a socket can't run without it, so nothing was started"
    td_give_up 1
  fi
  if [ -n "$td_is_off" ]; then td_level=info td_reason=$td_is_off; fi
  td_forget_pwd
  td_run_alone "$td_level" "$td_reason" "$@"
}

# Where no process can be started (RLIMIT_NPROC, memory), a shell gives up at the first $(...): with status 2, or 254 of
# bash, which tries for 15 s. (bash comes here by a signal, too, with the status of what was before.)
# td_end STATUS WORD...: then becomes the command without another process; another end is none of its business.
td_end() {
  trap - EXIT
  case $1${BASH_VERSION:+bash} in 2 | 254bash) ;; *) exit "$1" ;; esac
  shift
  td_forks='' td_reason="no process can be started: the user's limit (RLIMIT_NPROC) or the memory is used up"
  td_fall_back "$@"
}

td_is_off='' td_forks=yes
trap 'td_end "$?" "$@"' EXIT
case ${TRAFFIC_DUPLICATOR_ENABLED-} in
  [Ff][Aa][Ll][Ss][Ee] | 0 | [Nn][Oo] | [Oo][Ff][Ff])
    td_is_off='TRAFFIC_DUPLICATOR_ENABLED is false'
    td_forget_pwd
    if td_read_words "$@" && [ -z "$td_socket" ] && td_keeps_environment; then td_run_alone info "$td_is_off" "$@"; fi
    ;;
esac

# ---- the launcher ----

td_file=$0
case $0 in */*) ;; *) [ -f "./$0" ] && td_file=./$0 || td_file=$(command -v -- "$0") ;; esac
td_program=$td_file # only in the file
while [ -L "$td_file" ] && td_link=$(readlink "$td_file"); do # only in the slug
  case $td_link in /*) td_file=$td_link ;; *) td_file=${td_file%/*}/$td_link ;; esac # only in the slug
done # only in the slug
td_folder=${td_file%/*}/.. # only in the slug
td_program=$td_folder/boot.py # only in the slug

td_probe='
import os, sys
def refuse(status, reason):
    print(reason)
    sys.exit(status)
if sys.version_info < (3, 10):
    refuse(3, "%d.%d.%d" % sys.version_info[:3])
if not sys.meta_path[-1].find_spec("queue"):
    refuse(3, "%d.%d.%d without its library" % sys.version_info[:3])
import zlib
try:
    import zipimport # only in the file
    archive = zipimport.zipimporter(sys.argv[2]) # only in the file
    content = archive.get_data("__main__.py") + archive.get_data("unpacking.py") # only in the file
    with open(sys.argv[2], "rb") as file: content = file.read() # only in the slug
except Exception as error:
    refuse(4, "%s: %s" % (sys.argv[2], getattr(error, "strerror", None) or "damaged (%s)" % error))
if zlib.crc32(content) != @CHECKSUM@:
    refuse(4, sys.argv[2] + ": damaged")
def environment(pid):
    with open("/proc/%s/environ" % pid, "rb") as file:
        words = [word.partition(b"=") for word in file.read().split(b"\0")]
    return {name: value for name, _, value in reversed(words) if name and not name.startswith(b"-")}
try:
    given, here = environment(sys.argv[1]), environment("self")
except OSError:
    given = here = {}
words = [b"-u" + name for name in here if name not in given]
words += [name + b"=" + value for name, value in given.items() if here.get(name) != value]
quote = lambda word: b"\x27" + word.replace(b"\x27", b"\x27\\\x27\x27") + b"\x27"
sys.stdout.buffer.write(b" ".join(map(quote, words)) + b" @fit")
'
td_found='' td_damage=''

# td_try PYTHON WORD...: becomes the launcher with these words, if this Python serves.
td_try() {
  case $1 in */*) td_python=$1 ;; *) td_python=$(command -v "$1") ;; esac
  [ -z "$td_damage" ] && [ -f "$td_python" ] && [ -x "$td_python" ] || return
  shift
  { td_words=$("$td_python" -I -S -c "$td_probe" $$ "$td_program"); } 2>/dev/null # the shell's `Killed`, too
  td_status=$?
  # An empty file is one that a shell runs, with status 0: only a Python says that it is fit.
  case $td_status:$td_words in
    0:*' @fit')
      td_words=${td_words%' @fit'}
      # env would take a path that has a = for a variable
      case $td_python in *=*) td_words='' ;; *) [ -x /usr/bin/env ] || td_words='' ;; esac
      set -- "$td_python" -I -S -u "$td_program" "$@"
      eval "exec ${td_words:+/usr/bin/env $td_words}"' "$@"'
      ;;
    3:*) td_found="$td_found${td_found:+, }$td_python is $td_words" ;;
    4:*) td_damage=$td_words ;;
    *) td_found="$td_found${td_found:+, }$td_python does not start" ;;
  esac
}

td_try "$td_folder/python/bin/python3" "$@" # only in the slug
td_try /usr/bin/python3 "$@"
for td_name in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do # only in the file
  td_try "$td_name" "$@" # only in the file
done # only in the file
td_try /usr/local/bin/python3 "$@" # only in the file

# ---- none can be started ----

td_hint='apt-get install python3' # only in the file
td_hint='deploy the app anew' # only in the slug
case ${LD_LIBRARY_PATH:+set}$td_found in
  set*'does not start'*) td_hint='LD_LIBRARY_PATH is set: what is there may be no library for it' ;;
esac
td_reason="start-traffic-duplicator needs Python 3.10 or newer (${td_found:-found none}): $td_hint"
[ -z "$td_damage" ] || td_reason="$td_damage; put a sound copy there" # only in the file
[ -z "$td_damage" ] || td_reason="$td_damage; deploy the app anew" # only in the slug
td_fall_back "$@"
