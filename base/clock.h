/* Clocks for shells; pure code gets the time as a parameter. */
#ifndef AF_BASE_CLOCK_H
#define AF_BASE_CLOCK_H

#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

int64_t clock_utc_us(void);       /* microseconds since 1970, may jump */
int64_t clock_monotonic_us(void); /* CLOCK_BOOTTIME: never goes back, counts suspend */

/* Of two times by one clock; INT64_MAX: never. */
static inline int64_t clock_earlier(int64_t a_us, int64_t b_us)
{
    return a_us < b_us ? a_us : b_us;
}

#define CLOCK_TEXT_SIZE 32
/* RFC 3339 with microseconds and Z. Returns ret_text. */
const char *clock_format(int64_t utc_us, char ret_text[CLOCK_TEXT_SIZE]);
/* "500ms", "30s", "5m", "2h", "3d" -> microseconds, > 0 and at most LIMIT_TIME_MAX_US. */
int duration_parse(const char *text, size_t size, int64_t *ret_us, struct err *err) MUST_CHECK;
/* The shortest such text that is exact to the millisecond: "1.5s" is "1500ms". */
const char *duration_format(int64_t us, char ret_text[CLOCK_TEXT_SIZE]);

#endif
