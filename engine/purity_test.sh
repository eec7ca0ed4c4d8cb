#!/bin/sh
# purity_test.sh NM ENGINE BASE CEL SOURCES: every symbol that the library of the engine takes from
# outside must be one of the list below, of cel/, or of base/ as far as base/ is pure. So no clock,
# randomness, file, socket or thread can come in, not even one that nobody thought of. Headers are
# held to a list as well, so that no type of a transport or a store comes in either.
set -eu
nm=$1 engine=$2 base=$3 cel=$4 sources=$5

allowed_libc='free memcmp memcpy memmove memset qsort snprintf strchr strcmp strlen
strncmp strnlen strrchr strstr __memcpy_chk __memmove_chk __memset_chk __snprintf_chk
__stack_chk_fail _GLOBAL_OFFSET_TABLE_ isfinite __finite'
# Sanitizers, coverage and fuzzing put their own calls into every object.
allowed_prefix='^(__asan_|__ubsan_|__tsan_|__sanitizer_|__gcov_|__llvm_|__sancov_|__start_|__stop_|llvm_)'
# What of base/ reaches outside: clocks, random ids, logs, files of the installation, systemd.
impure_base='^(clock_utc_us|clock_monotonic_us|uuid_new|log_|run_paths|notify_)'

defined() { "$nm" --defined-only "$@" 2>/dev/null | awk 'NF == 3 && $2 ~ /[A-Z]/ {print $3}' | sort -u; }
wanted=$("$nm" -u "$engine" | awk 'NF == 2 {print $2}' | sort -u)
own=$(defined "$engine")
lent=$(defined "$base" "$cel" | grep -Ev "$impure_base")
test -n "$wanted" && test -n "$own" && test -n "$lent"

bad=
for symbol in $wanted; do
    printf '%s\n' "$own" "$lent" $allowed_libc | grep -qxF -- "$symbol" && continue
    printf '%s\n' "$symbol" | grep -Eq "$allowed_prefix" && continue
    bad="$bad $symbol"
done
if [ -n "$bad" ]; then
    echo "engine/ must stay pure, but uses:$bad" >&2
    echo "remedy: let the shell (coordinator/) do it and hand the outcome in as an input" >&2
    exit 1
fi

headers='"(base|cel|engine)/[a-z0-9_]+\.h"|<(math|stdbool|stddef|stdint|stdlib|string)\.h>'
foreign=$(find "$sources" -maxdepth 1 -name '*.[ch]' ! -name '*_test.c' ! -name 'fixture.[ch]' \
               ! -name '*_bench.c' ! -name 'impure_sample.c' -exec grep -H '^ *# *include' {} + |
          grep -Ev "include ($headers)\$" || true)
if [ -n "$foreign" ]; then
    echo "engine/ must stay pure, but includes:" >&2
    echo "$foreign" >&2
    exit 1
fi
echo "pure: $(printf '%s\n' "$wanted" | wc -l) symbols looked at"
