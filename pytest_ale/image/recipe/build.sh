# Sourced by the scripts beside it. /recipe is gone when they end.
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 HOME=/root
export APT_CONFIG=/recipe/apt.conf
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# Where pip finds packages, and whom it trusts, on the machine that builds.
[ ! -e /recipe/private/environment ] || . /recipe/private/environment

fail() {
  echo "$*" >&2
  exit 1
}

# The last command that was said is the one that failed, to whoever reads the output.
run() {
  echo "+ $*"
  "$@"
}

apt_install() {
  run apt-get update -qq
  run apt-get install -y -qq --no-install-recommends "$@"
}

pip_install() {
  echo "+ pip install $(tr '\n' ' ' </recipe/python)"
  xargs -d '\n' -a /recipe/python /opt/venv/bin/python -m pip install --no-cache-dir \
    --no-input --disable-pip-version-check --root-user-action=ignore --
  # Only what is new: a file that is touched is in the image a second time.
  find /opt/venv ! -user agent -exec chown -h agent:agent {} +
}

# What is in the image, for the record of each attempt.
finish() {
  /opt/venv/bin/python /recipe/packages.py >/etc/pytest-ale/packages.json
  apt-get clean
  rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /root/.cache /tmp/* /var/tmp/* /recipe
}
