#!/usr/bin/env bash
# Each release in an environment of its own: a host makes calls over every protocol and through the SDK's exporters, and
# as many must arrive. Needs a package index.
set -euo pipefail
cd "$(dirname "$0")/.."
versions=("$@")
[ ${#versions[@]} -gt 0 ] || versions=(1.33.1 1.34.1 1.35.0 1.36.0 1.37.0 1.38.0 1.39.1 1.40.0 1.41.1 1.42.1 1.43.0 1.44.0 1.45.2)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in "${versions[@]}"; do
  ${PYTHON:-python3.11} -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet --disable-pip-version-check ./sidecar \
    "opentelemetry-sdk==$version" "opentelemetry-exporter-otlp==$version"
  "$folder/$version/bin/python" tests/otel_host.py && echo "$version: every call arrived"
done
