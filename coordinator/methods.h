/* The methods of the control surface; see requests.h and docs/protocol.md. */
#ifndef AF_COORDINATOR_METHODS_H
#define AF_COORDINATOR_METHODS_H

#include "coordinator/requests.h"

#define METHOD(name)                                                                               \
    int name(struct coordinator *self, const struct request *request, struct doc *doc,             \
             struct err *err) MUST_CHECK

METHOD(method_status);
METHOD(method_hosts_list);
METHOD(method_instances_list);
METHOD(method_definitions_apply);
METHOD(method_agents_list);
METHOD(method_agents_get);
METHOD(method_agents_remove);
METHOD(method_workflows_list);
METHOD(method_workflows_get);
METHOD(method_workflows_remove);
METHOD(method_executions_start);
METHOD(method_executions_get);
METHOD(method_executions_list);
METHOD(method_executions_wait);
METHOD(method_executions_cancel);
METHOD(method_executions_pause);
METHOD(method_executions_resume);
METHOD(method_executions_signal);
METHOD(method_approvals_list);
METHOD(method_approvals_decide);
METHOD(method_executions_retry);
METHOD(method_executions_fork);
METHOD(method_executions_journal);
METHOD(method_signals_send);
METHOD(method_schedules_list);
METHOD(method_tasks_history);
METHOD(method_executions_context);

#undef METHOD

/* ERR_CORRUPT for an execution that was set aside. */
int refuse_aside(const struct coordinator *self, struct uuid id, struct err *err) MUST_CHECK;
/* Of an execution that the engine doesn't know: ERR_NOT_FOUND, ERR_CONFLICT that says how it ended. */
int refuse_ended(struct coordinator *self, struct uuid id, struct err *err) MUST_CHECK;

#endif
