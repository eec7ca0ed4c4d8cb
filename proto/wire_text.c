/* Addresses, names and task paths: the ABNF of docs/protocol.md. */
#include "base/limits.h"
#include "proto/wire.h"

#include <string.h>

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

/* The length of the name at the beginning of text; 0 if there is none. */
static size_t name_length(const char *text, size_t size)
{
    if (size == 0 || !is_lower(text[0]))
        return 0;
    size_t n = 1;
    while (n < size && (is_lower(text[n]) || is_digit(text[n]) || text[n] == '_' || text[n] == '-'))
        n++;
    return n;
}

bool wire_name_valid(const char *name, size_t size)
{
    return size > 0 && size <= LIMIT_NAME_BYTES && name_length(name, size) == size;
}

static bool id_valid(const char *id, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char c = id[i];
        if (!is_lower(c) && !is_digit(c) && !is_upper(c) && c != '_' && c != '-' && c != '.')
            return false;
    }
    return size > 0;
}

static bool starts_with(const char *text, size_t size, const char *prefix)
{
    size_t length = strlen(prefix);
    return size >= length && memcmp(text, prefix, length) == 0;
}

bool wire_address_valid(const char *address, size_t size)
{
    static const char *const of_ids[] = {"instance:", "egress:", "host:", "client:"};
    if (size > LIMIT_ADDRESS_BYTES)
        return false;
    if (bytes_equal(bytes_of(address, size), bytes_of_string("coordinator")) ||
        bytes_equal(bytes_of(address, size), bytes_of_string("broker")))
        return true;
    if (starts_with(address, size, "agent:"))
        return wire_name_valid(address + strlen("agent:"), size - strlen("agent:"));
    for (size_t i = 0; i < sizeof of_ids / sizeof of_ids[0]; i++) {
        size_t length = strlen(of_ids[i]);
        if (starts_with(address, size, of_ids[i]))
            return id_valid(address + length, size - length);
    }
    return false;
}

/* The length of a decimal number without leading zeros, of at most seven digits; 0 if none. */
static size_t number_length(const char *text, size_t size)
{
    size_t n = 0;
    while (n < size && n < 8 && is_digit(text[n]))
        n++;
    return n > 7 || (n > 1 && text[0] == '0') ? 0 : n;
}

bool wire_path_valid(const char *path, size_t size)
{
    size_t at = name_length(path, size);
    if (at == 0 || at > LIMIT_NAME_BYTES || size > LIMIT_PATH_BYTES)
        return false;
    if (at < size && path[at] == '[') {
        size_t digits = number_length(path + at + 1, size - at - 1);
        at += 1 + digits;
        if (digits == 0 || at == size || path[at] != ']')
            return false;
        at++;
    }
    while (at < size) {
        if (path[at] != '/')
            return false;
        size_t digits = number_length(path + at + 1, size - at - 1);
        if (digits == 0 || path[at + 1] == '0')
            return false;
        at += 1 + digits;
    }
    return true;
}
