#include "engine/event.h"

int run_compare(struct run a, struct run b)
{
    if (a.epoch != b.epoch)
        return a.epoch < b.epoch ? -1 : 1;
    if (a.counter != b.counter)
        return a.counter < b.counter ? -1 : 1;
    return 0;
}

const char *execution_status_name(enum execution_status status)
{
    switch (status) {
    case EXECUTION_RUNNING: return "running";
    case EXECUTION_WAITING: return "waiting";
    case EXECUTION_PAUSED: return "paused";
    case EXECUTION_CANCELLING: return "cancelling";
    case EXECUTION_FAILING: return "failing";
    case EXECUTION_SUCCEEDED: return "succeeded";
    case EXECUTION_FAILED: return "failed";
    case EXECUTION_CANCELLED: return "cancelled";
    }
    return "unknown";
}

bool execution_status_terminal(enum execution_status status)
{
    return status == EXECUTION_SUCCEEDED || status == EXECUTION_FAILED ||
           status == EXECUTION_CANCELLED;
}

const char *event_kind_name(enum event_kind kind)
{
    switch (kind) {
    case EVENT_STARTED: return "started";
    case EVENT_STEP: return "step";
    case EVENT_LOST: return "lost";
    case EVENT_CANCEL: return "cancel";
    case EVENT_FAILING: return "failing";
    case EVENT_ENDED: return "ended";
    case EVENT_RESERVED: return "reserved";
    case EVENT_SETTLED: return "settled";
    case EVENT_DELEGATED: return "delegated";
    case EVENT_REFUSED: return "refused";
    case EVENT_ANSWERED: return "answered";
    case EVENT_PATCHED: return "patched";
    case EVENT_DECIDED: return "decided";
    case EVENT_WAITING: return "waiting";
    case EVENT_DECISION: return "decision";
    case EVENT_SIGNAL: return "signal";
    case EVENT_TIMER: return "timer";
    case EVENT_PAUSED: return "paused";
    case EVENT_RESUMED: return "resumed";
    case EVENT_REOPENED: return "reopened";
    case EVENT_FORKED: return "forked";
    case EVENT_OWNED: return "owned";
    }
    return "unknown";
}
