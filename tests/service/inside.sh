# Runs inside the booted container: starts the shipped units and looks at them. Its words go to /results.
set -uo pipefail
exec > /results 2>&1
PATH="/opt/sovereign-node/bin:$PATH:/usr/sbin"
unit=sovereign-node
socket=/run/sovereign-node/operator.sock
account=6b0c8d1e-5f0a-4c52-9a1e-3d0f6f1d2a77
failed=0

held() { # held WHAT COMMAND...: it must succeed
  local what="$1"
  shift
  if "$@" > /tmp/said 2>&1; then printf 'held    %s\n' "$what"; else
    printf 'BROKEN  %s\n' "$what"
    sed 's/^/        /' /tmp/said | tail -20
    failed=1
  fi
}
until_true() { # until_true SECONDS COMMAND...
  local deadline=$((SECONDS + $1))
  shift
  until "$@" > /tmp/said 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.2
  done
}
show() { systemctl show "$unit" -p "$1" --value; }
pid() { show MainPID; }
is() { [ "$(show "$1")" = "$2" ]; }
status_has() { show StatusText | grep -q -- "$1"; }
proc_has() { grep -Eq "$1" "/proc/$(pid)/status"; }
ready() { sovereign-node ping --ready --socket "$socket"; }
restarted() { [ "$(show NRestarts)" -gt "$1" ] && ready; }

# An exchange, and its keys where the unit looks for them.
rm -rf /sim
mkdir -p /sim /etc/sovereign-node/credentials
chmod 0755 /sim
(cd /sim && exec sovereign-node sim serve --venue binance --port 9443 --control 9444 --ca-dir /sim > /sim/ready.json 2> /sim/log) &
until_true 60 test -s /sim/ready.json
umask 077
key() { python3 -c 'import json,sys; print(json.load(open("/sim/ready.json"))["accounts"][0][sys.argv[1]][sys.argv[2]],end="")' "$1" "$2"; }
key credentials apiKey > /etc/sovereign-node/credentials/binance_key
key credentials secret > /etc/sovereign-node/credentials/binance_secret
key engine_credentials apiKey > /etc/sovereign-node/credentials/signals_binance_key
key engine_credentials secret > /etc/sovereign-node/credentials/signals_binance_secret
printf node-secret > /etc/sovereign-node/credentials/mqtt_password
umask 022
chmod 0755 /etc/sovereign-node
install -m 0644 /sim/ca.pem /etc/sovereign-node/sim-ca.pem
public_key="$(cd ~ && rm -f desk.key && sovereign-node issuer new desk --out desk.key --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["public_key"])')"
sed -e "s|^public_key = .*|public_key = \"$public_key\"|; s|\"./state\"|\"/var/lib/sovereign-node\"|; s|\"./run\"|\"/run/sovereign-node\"|" \
  -e 's|"state/sim-ca/ca.pem"|"/etc/sovereign-node/sim-ca.pem"|' /node.example.toml > /etc/sovereign-node/node.toml

sed -e 's|"./signals-state"|"/var/lib/sovereign-node-signals"|; s|"./signals-run"|"/run/sovereign-node-signals"|' \
  -e 's|"./run"|"/run/sovereign-node"|; s|"state/sim-ca/ca.pem"|"/etc/sovereign-node/sim-ca.pem"|' \
  /signals.example.toml > /etc/sovereign-node/signals.toml

# The broker, with the drop-in.
mosquitto_passwd -c -b /etc/mosquitto/passwd node-1 node-secret
mosquitto_passwd -b /etc/mosquitto/passwd desk desk-secret
chown mosquitto: /etc/mosquitto/passwd
chmod 600 /etc/mosquitto/passwd
held "mosquitto starts in the drop-in's sandbox" systemctl start mosquitto
held "the units are sound" systemd-analyze verify --man=no sovereign-node.service sovereign-node@desk.service sovereign-node-signals.service mosquitto.service

held "the node starts: systemd has heard READY" systemctl start "$unit"
held "every account is armed within 60 s" until_true 60 ready
held "the status tells it at a glance" until_true 5 status_has "ready: 1 armed, 0 locked, 0 degraded"
printf '        %s\n' "$(show StatusText)"
held "it is not root" test "$(stat -c %u "/proc/$(pid)")" -ge 61184
held "system calls are filtered" proc_has '^Seccomp:\s+2'
held "it gains no privileges" proc_has '^NoNewPrivs:\s+1'
held "it has no capabilities" proc_has '^CapBnd:\s+0+$'
held "its state is its own" test "$(stat -Lc %a /var/lib/private/sovereign-node)" = 700
held "a command is carried out and proven" sovereign-node send CLOSE_ALL binance-main --wait --socket "$socket" --json
printf '        %s\n' "$(python3 -c 'import json; d=json.load(open("/tmp/said")); print(d["verdict"], d["orders"], d["latency_ms"]["proof"], "ms")')"
held "over the broker too" env MQTT_PASSWORD=node-secret sovereign-node send LOCK binance-main --via mqtt --key ~/desk.key --wait --config /etc/sovereign-node/node.toml
# An engine as a service of its own: in this container only services see the machine's real boot id.
engine_sees() {
  systemd-run --quiet --wait --pipe -p User=nobody -p ProtectProc=invisible /opt/sovereign-node/bin/python -c "
from node.client import EngineLock
import sys
sys.exit(EngineLock('/run/sovereign-node', '$account').locked is not $1)"
}
epoch() { python3 -c 'import json,sys; print(json.load(sys.stdin)["epoch"])' < "/run/sovereign-node/locks/$account.json"; }
held "an engine of another user reads that it is locked" engine_sees True
held "the operator unlocks" sovereign-node unlock binance-main --epoch "$(epoch)" --socket "$socket"
held "and the engine reads that it may trade" engine_sees False
# Signals, beside it: a user, folders and keys of their own, and nothing of the node's but its lock files.
signals_socket=/run/sovereign-node-signals/operator.sock
signals_pid() { systemctl show sovereign-node-signals -p MainPID --value; }
webhook_key() { sovereign-node signals keys create --name test --socket "$signals_socket" --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["apiKey"])'; }
alert_is() { # alert_is KEY STATUS
  python3 -c "
import json, sys, urllib.error, urllib.request
body = {'apiKey': '$1', 'accountId': 'binance-main', 'symbol': 'perp.BTCUSDT.P', 'side': 'buy', 'quantity': '0.01'}
place = 'http://127.0.0.1:8789/frontoffice/api/v3/webhook/alerts/acme'
try:
    status = urllib.request.urlopen(urllib.request.Request(place, json.dumps(body).encode())).status
except urllib.error.HTTPError as error:
    status = error.code
    print(error.read().decode())
sys.exit(status != $2)"
}
held "signals start: systemd has heard READY" systemctl start sovereign-node-signals
held "and are ready" until_true 60 sovereign-node ping --ready --socket "$signals_socket"
held "they are another user than the node" test "$(stat -c %u "/proc/$(signals_pid)")" != "$(stat -c %u "/proc/$(pid)")"
held "their state is their own" test "$(stat -Lc %a /var/lib/private/sovereign-node-signals)" = 700
webhook="$(webhook_key)"
held "an alert is an order while the account is unlocked" alert_is "$webhook" 200
held "locked again" sovereign-node send LOCK binance-main --wait --socket "$socket"
held "the engine reads that, too" engine_sees True
held "and an alert is refused" alert_is "$webhook" 409
kill -KILL "$(signals_pid)"
held "killed, signals come back" until_true 60 sovereign-node ping --ready --socket "$signals_socket"
held "with their keys" alert_is "$webhook" 409
held "they stop in order" systemctl stop sovereign-node-signals
held "with success" test "$(systemctl show sovereign-node-signals -p Result --value)" = success
held "and no trace of a refused system call" bash -c "! journalctl -u sovereign-node-signals -o cat | grep -Ei 'operation not permitted|traceback|read-only file system'"
held "another user may not use the operator's socket" bash -c "! setpriv --reuid=nobody --clear-groups /opt/sovereign-node/bin/sovereign-node status --socket $socket"
held "another user reads no secret" bash -c "! setpriv --reuid=nobody --clear-groups cat /run/credentials/sovereign-node.service/binance_key"

before="$(pid)"
sed -i 's/^deadline_s = 10/deadline_s = 9/' /etc/sovereign-node/node.toml
held "reload" systemctl reload "$unit"
held "what waits for a restart is told" until_true 5 status_has "1 settings wait for a restart"
held "it is the same process" test "$(pid)" = "$before"

count="$(show NRestarts)"
kill -KILL "$(pid)"
held "killed, it comes back and is ready" until_true 60 restarted "$count"
held "and the account is still locked" until_true 5 status_has "1 locked (binance-main)"

# A lock that no journal has written, and the process that knows of it is killed.
held "the operator unlocks again" sovereign-node unlock binance-main --epoch "$(epoch)" --socket "$socket"
rm -f /tmp/release
python3 -c "
import pathlib, sqlite3, time
stranger = sqlite3.connect('/var/lib/private/sovereign-node/journal.sqlite3', isolation_level=None)
stranger.execute('BEGIN IMMEDIATE')
deadline = time.monotonic() + 60
while not pathlib.Path('/tmp/release').exists() and time.monotonic() < deadline:
    time.sleep(0.1)" &
held "a journal that refuses is told" until_true 30 status_has "journal: cannot be written"
held "it is no reason for a restart" test "$(show NRestarts)" = "$((count + 1))"
held "a LOCK is carried out all the same" sovereign-node send LOCK binance-main --wait --socket "$socket" --json
cp /tmp/said /tmp/answer
held "without a record" grep -q '"unjournaled": true' /tmp/answer
count="$(show NRestarts)"
kill -KILL "$(pid)"
touch /tmp/release
held "killed in that moment, it comes back and is ready" until_true 60 restarted "$count"
held "and the account is locked, though no journal knew of it" until_true 5 status_has "1 locked (binance-main)"
count="$(show NRestarts)"
kill -STOP "$(pid)"
began=$SECONDS
held "stuck, the watchdog ends it and it comes back" until_true 90 restarted "$count"
printf '        ready again after %s s\n' "$((SECONDS - began))"
held "that was the watchdog" bash -c "journalctl -u $unit -o cat | grep -q 'Watchdog timeout'"
began=$SECONDS
held "it stops in order" systemctl stop "$unit"
printf '        after %s s\n' "$((SECONDS - began))"
held "with success" is Result success
held "and no trace of a refused system call" bash -c "! journalctl -u $unit -o cat | grep -Ei 'operation not permitted|traceback|read-only file system'"

# The template: an instance with its own folders.
mkdir -p /etc/sovereign-node/desk
cp -r /etc/sovereign-node/credentials /etc/sovereign-node/desk/
sed -e 's|"/var/lib/sovereign-node"|"/var/lib/sovereign-node-desk"|; s|"/run/sovereign-node"|"/run/sovereign-node-desk"|' \
  /etc/sovereign-node/node.toml > /etc/sovereign-node/desk/node.toml
unit=sovereign-node@desk
socket=/run/sovereign-node-desk/operator.sock
held "an instance of the template starts" systemctl start "$unit"
held "and is ready" until_true 60 ready
held "and stops" systemctl stop "$unit"

journalctl -u sovereign-node-signals -u sovereign-node -u sovereign-node@desk -u mosquitto -o short-monotonic > /results.journal 2>&1
systemd-analyze security sovereign-node.service --no-pager 2>/dev/null | tail -1
[ "$failed" = 0 ] && echo "ALL HELD"
exit "$failed"
