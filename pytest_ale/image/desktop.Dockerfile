# The image every sandbox is made from: a desktop for a user `agent` over a Debian or an Ubuntu.
ARG base
FROM ${base}
LABEL pytest-ale.kind=desktop
USER root
COPY root /
COPY recipe /recipe
RUN ["/bin/sh", "/recipe/desktop.sh"]
ENV HOME=/home/agent LANG=C.UTF-8 PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin:/usr/games \
    GSETTINGS_BACKEND=memory NO_AT_BRIDGE=1 GTK2_RC_FILES=/etc/pytest-ale/gtkrc-2.0
USER agent
WORKDIR /home/agent/task
ENTRYPOINT []
CMD ["bash"]
HEALTHCHECK NONE
