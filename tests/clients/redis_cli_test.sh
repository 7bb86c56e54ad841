#!/bin/sh
# redis_cli_test.sh - redis-cli and redis-benchmark against the server at $REDIS_PORT; 77: they are not here.
command -v redis-cli >/dev/null || exit 77
failed=0
cli() { timeout 20 redis-cli -p "$REDIS_PORT" "$@" 2>&1; }
same() { # WHAT GOT WANTED
    [ "$2" = "$3" ] && return
    echo "FAIL $1: got '$2', not '$3'"
    failed=1
}
same ping "$(cli PING)" PONG
same ping-3 "$(cli -3 PING)" PONG
same echo "$(cli ECHO 'a b')" "a b"
same unknown "$(cli FOO bar)" "ERR unknown command 'FOO', with args beginning with: 'bar' "
same unsupported "$(cli SET a b)" "ERR weir speaks Pub/Sub; 'set' is not supported"
same pipe "$(seq 1 1000 | sed 's/.*/PUBLISH nobody-& x/' | cli --pipe | tail -n 1)" "errors: 0, replies: 1000"

out=$(mktemp)
# A subscriber whose input stays open until it has been told to end.
(timeout 15 redis-cli -p "$REDIS_PORT" --csv SUBSCRIBE cli >"$out" 2>&1 &
    echo $! >"$out.pid")
until [ "$(cli PUBLISH cli hello)" = 1 ]; do :; done
until grep -q hello "$out"; do :; done
same subscribe "$(grep '"message"' "$out" | head -n 1)" '"message","cli","hello"'
kill "$(cat "$out.pid")"
rm -f "$out" "$out.pid"

if command -v redis-benchmark >/dev/null; then
    timeout 60 redis-benchmark -p "$REDIS_PORT" -t ping_inline,ping_mbulk -n 20000 -P 16 -q 2>&1 |
        tr '\r' '\n' | grep -q 'requests per second' || { echo "FAIL redis-benchmark"; failed=1; }
fi
exit $failed
