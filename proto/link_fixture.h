/* What the tests of the link share: two ends whose frames are caught, and handed over, or not, by the
 * test. */
#ifndef AF_PROTO_LINK_FIXTURE_H
#define AF_PROTO_LINK_FIXTURE_H

#include "base/test.h"

#include "base/limits.h"
#include "proto/link.h"

#define MS    (LIMIT_SECOND_US / 1000)
#define START (1000 * LIMIT_SECOND_US)

#define CAUGHT_MAX 8192

struct caught {
    struct wire_body bodies[CAUGHT_MAX]; /* texts and verdicts are borrowed: look at them at once */
    size_t count;
};

extern struct caught from_peer, from_coordinator;
extern link_t *peer, *coordinator;
extern const struct wire_link_id first_id;

void catch (void *context, const struct wire_body *body);
const struct wire_body *last(const struct caught *caught);
const struct wire_frame *last_frame(const struct caught *caught);
int setup(void **state);
int teardown(void **state);
enum link_event give(link_t *to, struct wire_body body, int64_t now_us);
void open_at(int64_t now_us);
/* A beat there and its answer back, at one moment. */
void exchange_beat(int64_t now_us);
struct bytes text(const char *s);
int64_t silence_from(int64_t now_us);

#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
