#!/bin/sh
# Runs as root while a task's image is built. What to install lies in files, a name a line, so
# that no shell takes a name for words of its own.
set -eu
. /recipe/build.sh

[ ! -s /recipe/packages ] || apt_install $(cat /recipe/packages)
[ ! -s /recipe/python ] || pip_install
finish
