# Sourced by the scripts: how they talk, run long commands and wait for each other.

say() { printf '%s: %s\n' "${0##*/}" "$*"; }
die() { say "$*" >&2; exit 1; }

# run WHAT COMMAND...: a long command. Its output goes to .dev/logs, of which the end is shown if it fails.
# Says every 10 s that it is still at it.
run() {
  local what=$1 log started=$SECONDS status=0 beat
  shift
  log=.dev/logs/$(printf %s "$what" | tr -cs 'A-Za-z0-9.' - | cut -c1-60).log
  say "$what …"
  # Ends by itself when this script is killed: a job in the background gets no Ctrl-C.
  (while sleep 10 >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do say "$what … $((SECONDS - started)) s"; done) 9>&- &
  beat=$!
  "$@" >"$log" 2>&1 </dev/null || status=$?
  kill "$beat" 2>/dev/null || true
  wait "$beat" 2>/dev/null || true
  [ "$status" = 0 ] || { tail -n 25 "$log" | sed 's/^/  | /' >&2; say "$what: failed after $((SECONDS - started)) s, all of it in $log" >&2; }
  return "$status"
}

# Lets one setup work at a time. The commands it runs hold the lock too, so that it lasts as long as they do.
one_at_a_time() {
  command -v flock >/dev/null || return 0 # macOS has none
  exec 9>.dev/lock
  flock -n 9 || { say "another setup is at work; waiting for it"; flock 9; }
}
