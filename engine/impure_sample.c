/* Not part of the engine: what purity_test.sh must refuse, so that it is known to be able to. */
#include "base/clock.h"
#include <time.h>

int64_t impure_sample(void);

int64_t impure_sample(void)
{
#ifdef IMPURE_BY_BASE
    return clock_utc_us();
#else
    return (int64_t)time(NULL);
#endif
}
