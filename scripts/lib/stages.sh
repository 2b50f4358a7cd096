# Sourced by scripts that run one check after the other and tell at the end which of them failed.

STAGES=()
FAILED=0

# stage NAME COMMAND...: shows what the command prints, and keeps it in .dev/logs for finish.
stage() {
  local name=$1 started=$SECONDS verdict=ok
  shift
  printf '\n=== %s\n' "$name"
  "$@" 2>&1 | tee ".dev/logs/$name.log" || verdict=FAILED
  [ "$verdict" = ok ] || FAILED=$((FAILED + 1))
  STAGES+=("$(printf '%-8s %-6s %4d s' "$name" "$verdict" $((SECONDS - started)))")
  printf '=== %s\n' "${STAGES[${#STAGES[@]} - 1]}"
}

# The summary, then each pytest's own closing line, which is what CI reads. Ends the script.
finish() {
  local name
  printf '\n=== %s: %d stages, %d failed, %d s\n' "${0##*/}" "${#STAGES[@]}" "$FAILED" "$SECONDS"
  printf '%s\n' "${STAGES[@]}"
  for name in unit e2e; do
    case " ${STAGES[*]} " in
      *" $name "*) grep -E '^=+ .*(passed|failed|error|no tests ran).* =+$' ".dev/logs/$name.log" | tail -n 1 || true ;;
    esac
  done
  [ "$FAILED" = 0 ]
  exit
}
