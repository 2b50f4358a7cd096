# Sourced by the scripts: how they talk, run long commands and wait for each other.

say() { printf '%s: %s\n' "${0##*/}" "$*"; }
die() { say "$*" >&2; exit 1; }

log_of() { printf '.dev/logs/%s.log' "$(printf %s "$1" | tr -cs 'A-Za-z0-9.' - | cut -c1-60)"; }

# attempt WHAT COMMAND...: a long command that may fail. Its output goes to .dev/logs. Says every 10 s that it
# is still at it.
attempt() {
  local what=$1 started=$SECONDS status=0 beat
  shift
  say "$what …"
  # Ends by itself when this script is killed: a job in the background gets no Ctrl-C.
  (while sleep 10 >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do say "$what … $((SECONDS - started)) s"; done) 9>&- &
  beat=$!
  "$@" >"$(log_of "$what")" 2>&1 </dev/null || status=$?
  kill "$beat" 2>/dev/null || true
  wait "$beat" 2>/dev/null || true
  return "$status"
}

# run WHAT COMMAND...: the same, for a command that must not fail; shows the end of its output if it does.
run() {
  attempt "$@" && return
  tail -n 25 "$(log_of "$1")" | sed 's/^/  | /' >&2
  say "$1: failed; all of it in $(log_of "$1")" >&2
  return 1
}

# Lets one setup work at a time. The commands it runs hold the lock too, so that it lasts as long as they do.
one_at_a_time() {
  command -v flock >/dev/null || return 0 # macOS has none
  exec 9>.dev/lock
  flock -n 9 || { say "another setup is at work; waiting for it"; flock 9; }
}
