#include "coordinator/steady.h"

int64_t steady_read(struct steady *self, int64_t utc_us, int64_t mono_us)
{
    if (self->mono_us == 0) {
        *self = (struct steady){.utc_us = utc_us, .mono_us = mono_us};
        return utc_us;
    }
    int64_t passed_us = mono_us - self->mono_us;
    int64_t most_us = passed_us / STEADY_LEAN;
    int64_t error_us = utc_us - (self->utc_us + passed_us);
    int64_t lean_us = error_us > most_us ? most_us : error_us < -most_us ? -most_us : error_us;
    /* A time too short to lean in is left to the next reading. */
    if (error_us != 0 && most_us == 0)
        return self->utc_us + passed_us;
    self->utc_us += passed_us + lean_us;
    self->mono_us = mono_us;
    return self->utc_us;
}
