# One image per part: docker build --build-arg PART=collector|dashboards|examples .
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# The build tools stay in this stage; the environment that is shipped has no pip.
RUN python3 -m venv /opt/tools && python3 -m venv --without-pip /opt/venv
COPY docker/build.lock docker/build.lock
RUN /opt/tools/bin/pip install --quiet --require-hashes --only-binary=:all: -r docker/build.lock
ARG PART=collector
# The collector's decoder is C. Without a compiler, where no Debian mirror can be reached, the image is complete and slower.
RUN if [ "$PART" = collector ]; then \
      { apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev; } >/tmp/apt.log 2>&1 \
      || echo "no C compiler, because apt failed ($(tail -1 /tmp/apt.log)): this image decodes OTLP several times slower"; \
    fi
COPY docker/${PART}.lock docker/part.lock
RUN /opt/tools/bin/pip --python /opt/venv/bin/python install --quiet --require-hashes --only-binary=:all: -r docker/part.lock
COPY sidecar/ sidecar/
COPY collector/ collector/
COPY dashboards/ dashboards/
COPY examples/ examples/
RUN packages="./sidecar ./${PART}" && if [ "$PART" = dashboards ]; then packages="$packages ./collector"; fi \
 && /opt/tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheels $packages \
 && /opt/tools/bin/pip --python /opt/venv/bin/python install --quiet --no-index --no-deps /wheels/*.whl \
 && /opt/tools/bin/pip --python /opt/venv/bin/python check \
 && find /opt/venv -name tests -type d -path '*/pyarrow/*' -prune -exec rm -rf {} + \
 && /opt/venv/bin/python -m compileall -q /opt/venv/lib

FROM ${PYTHON_IMAGE} AS runtime
RUN groupadd --gid 10001 plugwarden \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin plugwarden \
 && install -d -o 10001 -g 10001 -m 0700 /data /audit
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp PLUGWARDEN_AUDIT_KEY_FILE=/audit/audit.key
USER 10001:10001
WORKDIR /data
