#!/bin/sh
# purity_test.sh NM CEL BASE: every symbol that the library of expressions takes from outside must be
# one of the lists below, or of base/ as far as base/ is pure. So no clock, randomness, file, socket
# or thread can come in, and of PCRE2 nothing but compiling and matching: no allocator of its own, no
# code made at run time, no tables of a locale.
set -eu
nm=$1 cel=$2 base=$3

allowed_libc='free memchr memcmp memcpy memmem memmove memset snprintf strchr strcmp strcspn strlen
strspn strstr strtod strtol __isoc23_strtol __memcpy_chk __memmove_chk __memset_chk __snprintf_chk
__stack_chk_fail _GLOBAL_OFFSET_TABLE_'
allowed_pcre2='pcre2_compile_8 pcre2_code_free_8 pcre2_get_error_message_8 pcre2_match_8
pcre2_match_context_create_8 pcre2_match_context_free_8 pcre2_match_data_create_8
pcre2_match_data_free_8 pcre2_set_heap_limit_8 pcre2_set_match_limit_8'
# Sanitizers, coverage and fuzzing put their own calls into every object.
allowed_prefix='^(__asan_|__ubsan_|__tsan_|__sanitizer_|__gcov_|__llvm_|__sancov_|__start_|__stop_|llvm_)'
impure_base='^(clock_utc_us|clock_monotonic_us|uuid_new|log_|run_paths|notify_)'

defined() { "$nm" --defined-only "$@" 2>/dev/null | awk 'NF == 3 && $2 ~ /[A-Z]/ {print $3}' | sort -u; }
wanted=$("$nm" -u "$cel" | awk 'NF == 2 {print $2}' | sort -u)
own=$(defined "$cel")
lent=$(defined "$base" | grep -Ev "$impure_base")
test -n "$wanted" && test -n "$own" && test -n "$lent"

bad=
for symbol in $wanted; do
    # shellcheck disable=SC2086
    printf '%s\n' "$own" "$lent" $allowed_libc $allowed_pcre2 | grep -qxF -- "$symbol" && continue
    printf '%s\n' "$symbol" | grep -Eq "$allowed_prefix" && continue
    bad="$bad $symbol"
done
if [ -n "$bad" ]; then
    echo "cel/ must stay pure, but uses:$bad" >&2
    echo "remedy: do it without, or hand it in through the resolver of variables" >&2
    exit 1
fi
echo "pure: $(printf '%s\n' "$wanted" | wc -l) symbols looked at"
