#!/bin/sh
# start-traffic-duplicator: these lines, and behind them a zip archive that Python runs. They find a Python of 3.10 or newer
# that starts, and hand it the environment as it was given: a shell adds PWD, SHLVL or _, and dash drops every variable
# whose name is not a shell's (`app.mode`). The found Python compares the two and says what `env` must put back.
# Without such a Python the command itself is started, unmirrored. (Names start with td_ so that none meets a variable.)
td_file=$0
case $0 in */*) ;; *) [ -f "./$0" ] && td_file=./$0 || td_file=$(command -v -- "$0") ;; esac

td_probe='
import os, sys
if sys.version_info < (3, 10):
    print("%d.%d.%d" % sys.version_info[:3])
    sys.exit(3)
if not sys.meta_path[-1].find_spec("queue"):
    print("%d.%d.%d without its library (apt-get install python3)" % sys.version_info[:3])
    sys.exit(3)
def environment(pid):
    with open("/proc/%s/environ" % pid, "rb") as file:
        words = [word.partition(b"=") for word in file.read().split(b"\0")]
    return {name: value for name, _, value in reversed(words) if name and not name.startswith(b"-")}
try:
    given, here = environment(sys.argv[1]), environment("self")
except OSError:
    sys.exit(0)
words = [b"-u" + name for name in here if name not in given]
words += [name + b"=" + value for name, value in given.items() if here.get(name) != value]
quote = lambda word: b"\x27" + word.replace(b"\x27", b"\x27\\\x27\x27") + b"\x27"
sys.stdout.buffer.write(b" ".join(map(quote, words)))
'
td_found=
for td_python in /usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11 python3.10 /usr/local/bin/python3; do
  td_python=$(command -v "$td_python") || continue
  [ -x "$td_python" ] || continue
  td_words=$("$td_python" -I -S -c "$td_probe" $$ 2>/dev/null)
  case $? in
    0)
      set -- "$td_python" -I -S -u "$td_file" "$@"
      eval "exec ${td_words:+/usr/bin/env $td_words}"' "$@"'
      ;;
    3) td_found="$td_found${td_found:+, }$td_python is $td_words" ;;
    *) td_found="$td_found${td_found:+, }$td_python does not start" ;;
  esac
done

td_say() {
  echo "start-traffic-duplicator needs Python 3.10 or newer (${td_found:-found none})$1" >&2
}
case ${TRAFFIC_DUPLICATOR_STRICT-} in
  1 | [Tt]rue | TRUE | [Yy]es | YES | [Oo]n | ON) td_say; exit 2 ;;
esac
while [ $# -gt 0 ]; do
  case $1 in
    --) shift; break ;;
    --strict | --strict=* | --dry-run | --json | --status | --version | --help | --replay) td_say; exit 2 ;;
    --port=*) PORT=${1#*=}; export PORT ;;
    --*=*) ;;
    -?*)
      [ $# -gt 1 ] || { td_say; exit 2; }
      [ "$1" != --port ] || { PORT=$2; export PORT; }
      shift
      ;;
    *) break ;;
  esac
  shift
done
[ $# -gt 0 ] || { td_say; exit 2; }
for td_word; do
  shift
  case $td_word in *'{port}'*) td_word=${td_word%%'{port}'*}${PORT:-5000}${td_word#*'{port}'} ;; esac
  set -- "$@" "$td_word"
done
td_say '; the command runs without being mirrored'
exec "$@"
