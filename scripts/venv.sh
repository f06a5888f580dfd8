# Sourced by the scripts beside it: makes a virtual environment and installs into it, once.
#
#   use_venv EXTRAS     makes $VENV (default .venv) and installs this project with [EXTRAS]
#
# ALE_PYTHON names the interpreter, ALE_VENV the folder.

cd "$(dirname "${BASH_SOURCE[0]}")/.."
VENV=${ALE_VENV:-.venv}

fail() { echo "${0##*/}: $*" >&2; exit 1; }

find_python() {
  local python
  for python in ${ALE_PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$python"; return; }
  done
  fail "no Python of at least 3.11 found${ALE_PYTHON:+ as $ALE_PYTHON}: install python3.11 or newer, or set ALE_PYTHON"
}

make_venv() {
  local python
  python=$(find_python) || exit 1
  if command -v uv >/dev/null; then
    uv venv --quiet --python "$python" "$VENV"
  elif "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    "$python" -m venv "$VENV"
  else
    fail "$python has no venv: install it (Debian, Ubuntu: apt-get install python3-venv) or uv"
  fi
}

install() {
  if command -v uv >/dev/null; then
    uv pip install --quiet --python "$VENV/bin/python" -e ".[$1]"
  else
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -e ".[$1]"
  fi
}

# What was installed is written down with a sum of pyproject.toml: a second call does nothing.
use_venv() {
  local wanted stamp="$VENV/.installed-$1"
  wanted=$(cksum pyproject.toml)
  [ -x "$VENV/bin/python" ] || make_venv
  [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return
  echo "installing into $VENV ..."
  install "$1" || fail "installing failed: see above"
  echo "$wanted" >"$stamp"
}
