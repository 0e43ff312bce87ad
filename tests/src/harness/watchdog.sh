# Ends the servers that tests share when no test has needed them for a while.
#
# A test process holds `leases` shared for as long as it lives, and takes it before it takes `lock`. So
# whoever holds both, `leases` alone, may end the servers: nobody uses them, and nobody can begin to.

cd "$1" || exit 1
idle_looks_max=$2

is_running() { ! flock --nonblock "pids/$1" true; }

end() {
    is_running "$1" || return 0
    kill -s "$2" "$(cat "pids/$1")"
    flock --timeout 20 "pids/$1" true || kill -s KILL "$(cat "pids/$1")"
}

idle_looks=0
while [ "$idle_looks" -lt "$idle_looks_max" ]; do
    sleep 5
    # Without the folder there is nothing left to watch.
    [ -e leases ] || exit 0
    if flock --nonblock leases true; then idle_looks=$((idle_looks + 1)); else idle_looks=0; fi
    if [ "$idle_looks" -eq "$idle_looks_max" ]; then
        exec 8<lock 9<leases
        flock 8
        flock --nonblock 9 || { idle_looks=0; exec 8<&- 9<&-; }
    fi
done
# The servers must not inherit the locks, and do not: they are older.
end kafka-1 TERM
end postgres INT
rm -rf "$(readlink -f data/postgres)" data
