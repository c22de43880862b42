#!/bin/bash
# The bare HTTP server of io/ beside nginx, both serving the same 400 bytes on one core, loaded by wrk on another.
set -euo pipefail

build=${LEASED_BUILD:-build}
for program in wrk nginx; do
    if ! command -v "$program" > /dev/null; then
        echo "http: $program is not installed; nothing measured"
        exit 0
    fi
done

dir=$(mktemp -d)
pids=()
cleanup() {
    kill "${pids[@]}" 2> /dev/null || true
    wait 2> /dev/null || true
    rm -rf "$dir"
}
trap cleanup EXIT

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

ours=$(free_port)
theirs=$(free_port)
python3 -c 'import sys; sys.stdout.write("{\"value\":\"" + "x" * 388 + "\"}")' > "$dir/credential"
cat > "$dir/nginx.conf" << END
worker_processes 1;
daemon off;
master_process off;
pid $dir/pid;
error_log $dir/error.log;
events { worker_connections 1024; }
http {
    access_log off;
    keepalive_requests 1000000000;
    sendfile on;
    tcp_nopush on;
    etag off;
    open_file_cache max=10;
    default_type application/json;
    add_header Cache-Control no-store;
    client_body_temp_path $dir/t1; proxy_temp_path $dir/t2; fastcgi_temp_path $dir/t3;
    uwsgi_temp_path $dir/t4; scgi_temp_path $dir/t5;
    server { listen 127.0.0.1:$theirs; root $dir; }
}
END
# Becomes the program, so that its process is the one to be killed; only for subshells.
pin() { if [ "$(nproc)" -ge 2 ]; then exec taskset -c "$@"; else shift; exec "$@"; fi; }

pin 0 "$build/bench/bench_server" "127.0.0.1:$ours" > /dev/null &
pids+=($!)
pin 0 nginx -p "$dir" -c "$dir/nginx.conf" 2> /dev/null &
pids+=($!)
for port in "$ours" "$theirs"; do
    until (: < "/dev/tcp/127.0.0.1/$port") 2> /dev/null; do :; done
done

# Prints the best of three rounds: the machine's other work only ever takes away.
measure() { # connections
    local name=("http.leased" "http.nginx") port=("$ours" "$theirs") best=(0 0) p99=(0 0) i round line
    for round in 1 2 3; do
        for i in 0 1; do
            line=$(pin 1 wrk -t1 -c"$1" -d2s --latency "http://127.0.0.1:${port[i]}/credential" |
                awk '/^Requests\/sec/ { rate = $2 }
                     $1 == "99%" { t = $2; if (t ~ /ms$/) { sub(/ms/, "", t); t *= 1000 } else sub(/us/, "", t) }
                     END { printf "%d %d", rate, t }')
            if [ "${line% *}" -gt "${best[i]}" ]; then
                best[i]=${line% *}
                p99[i]=${line#* }
            fi
        done
    done
    for i in 0 1; do
        echo "${name[i]}.c$1 ${best[i]} req/s"
        echo "${name[i]}.c$1.p99 ${p99[i]} us"
    done
}

measure 16
measure 1
