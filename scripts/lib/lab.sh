# Sourced by scripts/setup: the programs of the lab with the real router, Debian's packages.
#
# miniupnpd-nftables is the program alone; what would run it as a service is the package miniupnpd, which is
# neither needed nor recommended by it. The service of nftables is left disabled by its package.

# missing_lab_packages: names the packages whose program is not there. Those that are stay as they are.
missing_lab_packages() {
  local pair
  for pair in ip:iproute2 miniupnpd:miniupnpd-nftables nft:nftables upnpc:miniupnpc; do
    PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%:*}" >/dev/null || echo "${pair#*:}"
  done
}

# need_lab: installs them where that is ours to do, else says what is missing and goes on: all but the lab works.
need_lab() {
  local missing
  missing=$(missing_lab_packages | xargs)
  if [ "$(id -u)" != 0 ]; then
    say "the lab with the real router needs root, on Linux${missing:+, and these packages: $missing}; its tests are skipped"
  elif [ -n "$missing" ]; then
    if command -v apt-get >/dev/null; then
      mkdir -p .dev/logs
      one_at_a_time
      # shellcheck disable=SC2086 # several names
      { run "apt-get update" apt-get update && run "apt-get install $missing" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends $missing; } && return
    fi
    say "the lab with the real router needs these packages: $missing; its tests are skipped"
  fi
}
