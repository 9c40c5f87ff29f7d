#!/usr/bin/env bash
# compose.yaml on a real engine: up, the whole loop in containers, down. Skips with one line where there is no engine.
set -euo pipefail
cd "$(dirname "$0")/.."

if docker compose version >/dev/null 2>&1; then compose=(docker compose)
elif command -v docker-compose >/dev/null 2>&1; then compose=(docker-compose)
else echo "skipped: there is no docker compose on this machine"; exit 0; fi
docker info >/dev/null 2>&1 || { echo "skipped: no container engine answers"; exit 0; }

export COMPOSE_PROJECT_NAME=plugwarden-test PLUGWARDEN_TOKEN PLUGWARDEN_INGEST_TOKEN
PLUGWARDEN_TOKEN=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
PLUGWARDEN_INGEST_TOKEN=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
export PLUGWARDEN_GRPC_PORT=14317 PLUGWARDEN_HTTP_PORT=14318 PLUGWARDEN_API_PORT=18420 PLUGWARDEN_DASHBOARDS_PORT=18501

down() { "${compose[@]}" down -v --remove-orphans >/dev/null 2>&1 || true; }
fail() { echo "FAILED: $1"; "${compose[@]}" logs --tail=40 || true; exit 1; }
trap down EXIT

# Asks inside the collector's container: the answer on stdout is a JSON document.
ask() { "${compose[@]}" exec -T collector plugwarden "$@" --json; }
# Waits until a Python expression over that document, called `it`, is true.
wait_for() {
  local what=$1 expression=$2; shift 2
  for _ in $(seq 90); do
    if ask "$@" 2>/dev/null | "${compose[@]}" exec -T collector python -c \
      "import json, sys; it = json.load(sys.stdin); sys.exit(not ($expression))" 2>/dev/null; then
      echo "ok: $what"; return 0
    fi
    sleep 1
  done
  fail "not seen: $what"
}

echo "building and starting …"
"${compose[@]}" up --build -d >/dev/null || fail "up"
for service in collector dashboards registry host; do
  user=$("${compose[@]}" exec -T "$service" id -u | tr -d '\r')
  [ "$user" = 10001 ] || fail "$service runs as user $user"
done
echo "ok: nothing runs as root"
code() { "${compose[@]}" exec -T collector python -c \
  "import urllib.request, urllib.error
try: print(urllib.request.urlopen('$1').status)
except urllib.error.HTTPError as error: print(error.code)" | tr -d '\r'; }
[ "$(code http://127.0.0.1:8420/api/v1/plugins)" = 401 ] || fail "the API answers without a token"
[ "$(code http://127.0.0.1:8420/livez)" = 200 ] || fail "livez"
echo "ok: the API wants a token"
acts=$("${compose[@]}" exec -T host python -c \
  "import os, urllib.request as u, urllib.error
request = u.Request('http://collector:8420/api/v1/quarantine', headers={'authorization': 'Bearer ' + os.environ['PLUGWARDEN_TOKEN']})
try: print(u.urlopen(request).status)
except urllib.error.HTTPError as error: print(error.code)" | tr -d '\r')
[ "$acts" = 403 ] || fail "the host's token may look at quarantines: $acts"
echo "ok: the host's token neither looks nor acts"
native=$("${compose[@]}" exec -T collector python -c \
  "import os, urllib.request as u
request = u.Request('http://127.0.0.1:8420/metrics', headers={'authorization': 'Bearer ' + os.environ['PLUGWARDEN_TOKEN']})
print(*(line.split()[1] for line in u.urlopen(request).read().decode().splitlines()
        if line.startswith('plugwarden_native_decoding ')))" | tr -d '\r')
[ "$native" = 1.0 ] || fail "the collector does not decode natively (plugwarden_native_decoding is '$native')"
echo "ok: the collector decodes natively"
[ "$(code http://dashboards:8501/readyz)" = 200 ] || { sleep 20; [ "$(code http://dashboards:8501/readyz)" = 200 ] || fail "dashboards"; }
echo "ok: the dashboards answer"
wait_for "ten plugins are seen" "len(it) >= 10" plugins
wait_for "the failing release is quarantined" \
  "any(q['plugin_id'] == 'markdown' and q['plugin_version'] == '2.0.0' and q['state'] == 'quarantined' for q in it)" quarantines --all
wait_for "the release after it came through probation" \
  "any(q['plugin_version'] == '2.0.1' and q['ended_at'] for q in it)" quarantines --all
wait_for "nothing else was ever quarantined" \
  "{(q['plugin_id'], q['plugin_version']) for q in it} == {('markdown', '2.0.0'), ('markdown', '2.0.1')}" quarantines --all
wait_for "the decision log is unbroken" "it['valid'] and it['decisions'] >= 5" audit verify
"${compose[@]}" restart collector >/dev/null 2>&1
wait_for "quarantines survive a restart of the collector" "any(q['plugin_version'] == '2.0.0' for q in it)" quarantines
echo "compose: all checks passed"
