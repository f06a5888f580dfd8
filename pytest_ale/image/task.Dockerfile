# What a card's `packages` and `python` add to the desktop.
ARG base
FROM ${base}
LABEL pytest-ale.kind=task
USER root
COPY recipe /recipe
RUN ["/bin/sh", "/recipe/task.sh"]
USER agent
