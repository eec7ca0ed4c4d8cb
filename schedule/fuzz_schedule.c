/* Any bytes as the file of a zone, as a rule and as a cron expression. */
#include "schedule/cron.h"

#include "base/limits.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[LIMIT_CRON_BYTES + 2];
    struct zone_rule rule;
    struct cron cron;
    zone_t *zone = NULL;
    struct err err;
    size_t cut = size < sizeof text - 1 ? size : sizeof text - 1;
    if (cut > 0)
        memcpy(text, data, cut);
    text[cut] = '\0';
    if (zone_rule_parse(text, &rule, &err) == 0)
        (void)zone_rule_offset(&rule, 1800000000);
    CHECK(zone_parse(bytes_of(data, size), &zone, &err) == 0 || zone_open("UTC", &zone, &err) == 0);
    if (cron_parse(text, &cron, &err) == 0)
        CHECK(cron_next(&cron, zone, 1800000000) > 1800000000);
    zone_destroy(&zone);
    return 0;
}
