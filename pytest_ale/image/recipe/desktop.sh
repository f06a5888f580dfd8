#!/bin/sh
# Runs as root while the desktop image is built: programs, the user, and where things lie.
set -eu
. /recipe/build.sh

command -v apt-get >/dev/null || fail "this base has no apt-get: a Debian or an Ubuntu is needed"

apt_install \
  python3 python3-venv python3-pip python3-xlib \
  xvfb openbox tint2 xterm pcmanfm l3afpad gpicview dbus-x11 \
  x11-utils x11-xserver-utils xclip x11vnc \
  adwaita-icon-theme librsvg2-common gtk2-engines \
  fonts-dejavu-core fonts-liberation2 fonts-wqy-microhei fonts-noto-color-emoji fonts-symbola \
  bash ca-certificates curl file less nano nftables procps psmisc unzip xz-utils zip
/usr/bin/python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
  fail "this base has Python $(/usr/bin/python3 -V): 3.10 or newer is needed"

# Debian's first choice is lxterm, which our resources do not reach: its letters are 6 by 13 pixels.
run update-alternatives --set x-terminal-emulator /usr/bin/xterm

# noVNC is a web page; its package would bring node and 60 others along.
cd /tmp
run apt-get download -qq novnc
mkdir novnc && dpkg-deb --extract novnc_*.deb novnc
mv novnc/usr/share/novnc /usr/share/novnc
rm -r novnc novnc_*.deb

# Some bases have a user of their own with our number.
! other=$(getent passwd 1000 | cut -d: -f1) || [ -z "$other" ] || userdel --force "$other"
! other=$(getent group 1000 | cut -d: -f1) || [ -z "$other" ] || groupdel "$other"
groupadd --gid 1000 agent
useradd --uid 1000 --gid 1000 --no-create-home --home-dir /home/agent --shell /bin/bash agent
rm -rf /home/agent
cp -r /etc/skel /home/agent
mkdir -p /home/agent/task/inputs /home/agent/task/output
chown -R agent:agent /home/agent
chmod 700 /home/agent

/usr/bin/python3 -m venv --system-site-packages /opt/venv
chown -R agent:agent /opt/venv # where the network is open, the agent may install there

# X makes this folder only when it is root, and says so on every start when it is not.
mkdir -p /tmp/.X11-unix
chmod 1777 /tmp/.X11-unix
fc-cache --system-only
finish
