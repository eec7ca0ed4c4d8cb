#include "base/typeid.h"

#include <stdio.h>
#include <string.h>

#define SUFFIX_SIZE 26

/* 128 bits as 26 digits of 5 bits, the first of which holds only 3 (github.com/jetify-com/typeid,
 * "Base32 encoding": Crockford's alphabet in lower case, nothing else accepted). */
static const char ALPHABET[] = "0123456789abcdefghjkmnpqrstvwxyz";

static int digit_value(char c)
{
    const char *found = c ? strchr(ALPHABET, c) : NULL;
    return found ? (int)(found - ALPHABET) : -1;
}

static void encode_suffix(struct uuid id, char ret_text[SUFFIX_SIZE + 1])
{
    unsigned bits = 0;
    unsigned held = 2; /* two leading zero bits make 130, which is 26 times 5 */
    size_t at = 0;
    for (size_t i = 0; i < sizeof id.bytes; i++) {
        bits = bits << 8 | id.bytes[i];
        for (held += 8; held >= 5; held -= 5)
            ret_text[at++] = ALPHABET[bits >> (held - 5) & 31];
        bits &= 31;
    }
    ret_text[at] = '\0';
}

static bool decode_suffix(const char *text, struct uuid *ret_id)
{
    if (text[0] > '7')
        return false;
    struct uuid id = {0};
    unsigned bits = 0;
    unsigned held = 0;
    size_t at = 0;
    for (size_t i = 0; i < SUFFIX_SIZE; i++) {
        int value = digit_value(text[i]);
        if (value < 0)
            return false;
        bits = (bits << 5 | (unsigned)value) & 0xfff;
        held += i == 0 ? 3 : 5;
        if (held < 8)
            continue;
        held -= 8;
        id.bytes[at++] = (uint8_t)(bits >> held);
    }
    *ret_id = id;
    return true;
}

static bool prefix_is_valid(const char *prefix, size_t size)
{
    if (size == 0)
        return true;
    if (size > TYPEID_PREFIX_MAX || prefix[0] == '_' || prefix[size - 1] == '_')
        return false;
    for (size_t i = 0; i < size; i++)
        if ((prefix[i] < 'a' || prefix[i] > 'z') && prefix[i] != '_')
            return false;
    return true;
}

static int not_an_id(const char *text, const char *why, struct err *err)
{
    int code = err_set(err, ERR_INVALID, "\"%.100s\" is not an id: %s", text, why);
    err_fix(err, "copy the whole id, such as exec_01h455vb4pex5vsknk084sn02q");
    return code;
}

int typeid_parse(const char *text, char ret_prefix[TYPEID_PREFIX_MAX + 1], struct uuid *ret_id,
                 struct err *err)
{
    const char *separator = strrchr(text, '_');
    const char *suffix = separator ? separator + 1 : text;
    size_t prefix_size = separator ? (size_t)(separator - text) : 0;
    if (separator && prefix_size == 0)
        return not_an_id(text, "nothing stands before the underscore", err);
    if (!prefix_is_valid(text, prefix_size))
        return not_an_id(
            text, "the prefix is not at most 63 of a to z and _, with a letter at its ends", err);
    if (strnlen(suffix, SUFFIX_SIZE + 1) != SUFFIX_SIZE)
        return not_an_id(text, "the part after the prefix is not 26 characters long", err);
    struct uuid id;
    if (!decode_suffix(suffix, &id))
        return not_an_id(text, "the part after the prefix is not a number in Crockford base32",
                         err);
    memcpy(ret_prefix, text, prefix_size);
    ret_prefix[prefix_size] = '\0';
    *ret_id = id;
    return 0;
}

int typeid_parse_as(const char *text, const char *prefix, struct uuid *ret_id, struct err *err)
{
    char found[TYPEID_PREFIX_MAX + 1];
    struct uuid id;
    int code = typeid_parse(text, found, &id, err);
    if (code)
        return code;
    if (strcmp(found, prefix) != 0) {
        code = err_set(err, ERR_INVALID, "\"%.100s\" is an id of another kind", text);
        err_fix(err, "give one that starts with \"%s_\"", prefix);
        return code;
    }
    *ret_id = id;
    return 0;
}

int typeid_format(const char *prefix, struct uuid id, char ret_text[TYPEID_TEXT_SIZE],
                  struct err *err)
{
    size_t size = strnlen(prefix, TYPEID_PREFIX_MAX + 1);
    if (!prefix_is_valid(prefix, size)) {
        int code = err_set(err, ERR_INVALID, "\"%.80s\" can't be the prefix of an id", prefix);
        err_fix(err, "use at most 63 of a to z and _, with a letter at both ends");
        return code;
    }
    char suffix[SUFFIX_SIZE + 1];
    encode_suffix(id, suffix);
    snprintf(ret_text, TYPEID_TEXT_SIZE, "%s%s%s", prefix, size ? "_" : "", suffix);
    return 0;
}

const char *typeid_text(const char *prefix, struct uuid id, char ret_text[TYPEID_TEXT_SIZE])
{
    int code = typeid_format(prefix, id, ret_text, NULL);
    CHECK(code == 0);
    return ret_text;
}
